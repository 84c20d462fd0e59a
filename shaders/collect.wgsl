// Collect: the peaks of every lane, one lane after the other, in row-major order of their cells. Layout kernels: they
// count, add up and move; what a peak is, and its base, has been decided.

// Peaks of each block of words.
@compute @workgroup_size(GROUP)
fn count(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    let block = task(group);
    if (t >= p.bins || block >= p.list_blocks) { return; }
    let start = block * p.list_words;
    let end = min(start + p.list_words, p.n_x * p.words);
    var n = 0u;
    for (var place = start; place < end; place++) { n += countOneBits(peaks[place * p.lanes + t]); }
    before[block * p.lanes + t] = n;
}

// Peaks before each block, and of each lane.
@compute @workgroup_size(GROUP)
fn sum(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    if (t >= p.lanes) { return; }
    var n = 0u;
    if (t < p.bins) {
        for (var block = 0u; block < p.list_blocks; block++) {
            let here = before[block * p.lanes + t];
            before[block * p.lanes + t] = n;
            n += here;
        }
    }
    tally[t] = n;
}

// Whether a flood or a plateau of each lane has to go on.
@compute @workgroup_size(GROUP)
fn remain(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    if (t >= p.lanes) { return; }
    var pending = false;
    if (t < p.bins) {
        for (var a = 0u; a < p.levels; a++) {
            pending = pending || (floods[a * p.lanes + t].y & DONE) == 0u;
        }
        if (p.list_blocks > 0u) { pending = pending || (plateaus[t].y & DONE) == 0u; }
    }
    tally[p.lanes + t] = select(0u, 1u, pending);
}

const SCANNED: u32 = 256u;
var<workgroup> sums: array<u32, SCANNED>;

// Peaks of the lanes before each lane: one workgroup, for so many neighbouring lanes after the other.
@compute @workgroup_size(SCANNED)
fn order(@builtin(local_invocation_id) local: vec3<u32>) {
    var rows = 0u;
    for (var first = 0u; first < p.lanes; first += SCANNED) {
        let t = first + local.x;
        var n = 0u;
        if (t < p.lanes) { n = tally[t]; }
        var sum = n;
        sums[local.x] = sum;
        for (var reach = 1u; reach < SCANNED; reach *= 2u) {
            workgroupBarrier();
            var more = 0u;
            if (local.x >= reach) { more = sums[local.x - reach]; }
            workgroupBarrier();
            sum += more;
            sums[local.x] = sum;
        }
        workgroupBarrier();
        if (t < p.lanes) { tally[2u * p.lanes + t] = rows + sum - n; }
        rows += sums[SCANNED - 1u];
        workgroupBarrier();
    }
}

// Cell, height and base of those peaks whose rows are asked for.
@compute @workgroup_size(GROUP)
fn collect(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    let block = task(group);
    if (t >= p.bins || block >= p.list_blocks) { return; }
    let start = block * p.list_words;
    let end = min(start + p.list_words, p.n_x * p.words);
    // Rows from the first one asked for; those before it wrap, and are as far off as those after the last.
    var row = tally[2u * p.lanes + t] + before[block * p.lanes + t] - p.first_row;
    for (var place = start; place < end; place++) {
        var left = peaks[place * p.lanes + t];
        let x = place / p.words;
        for (var i = 0u; i < 32u && left != 0u; i++) {
            let bit = countTrailingZeros(left);
            left &= left - 1u;
            if (row < p.rows) {
                let cell = x * p.n_y + (place % p.words) * 32u + bit;
                row_cells[row] = cell;
                row_values[row] = values[cell * p.lanes + t];
                var base = rims[cell * p.lanes + t];
                // Off the track lies what has no neighbour: its base is the lane's lowest value.
                if (OFF_TRACK) {
                    if (!exceeds(base, LOWEST)) { base = surveys[t].floor; }
                }
                row_values[p.room + row] = value_of(base);
            }
            row += 1u;
        }
    }
}
