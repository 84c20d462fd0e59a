// Collect: the peaks of every lane, one lane after the other, in row-major order of their cells. Layout kernels: they
// count, add up and move; what a peak is, and its base, has been decided.

// Peaks of each block of words.
@compute @workgroup_size(GROUP)
fn count(@builtin(global_invocation_id) id: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = id.x;
    let block = task(group);
    if (t >= p.bins || block >= p.list_blocks) { return; }
    let start = block * p.list_words;
    let end = min(start + p.list_words, p.n_x * p.words);
    var n = 0u;
    for (var place = start; place < end; place++) { n += countOneBits(peaks[place * p.lanes + t]); }
    before[block * p.lanes + t] = n;
}

// Peaks before each block, and of each lane; whether a flood or a plateau of the lane has to go on.
@compute @workgroup_size(GROUP)
fn sum(@builtin(global_invocation_id) id: vec3<u32>) {
    let t = id.x;
    if (t >= p.lanes) { return; }
    var n = 0u;
    var pending = false;
    if (t < p.bins) {
        for (var block = 0u; block < p.list_blocks; block++) {
            let here = before[block * p.lanes + t];
            before[block * p.lanes + t] = n;
            n += here;
        }
        for (var a = 0u; a < p.levels; a++) {
            pending = pending || (floods[a * p.lanes + t].y & DONE) == 0u;
        }
        if (p.list_blocks > 0u) { pending = pending || (plateaus[t].y & DONE) == 0u; }
    }
    tally[t] = n;
    tally[p.lanes + t] = select(0u, 1u, pending);
}

var<workgroup> sums: array<u32, GROUP>;

// Peaks of the lanes before each lane: one workgroup, each invocation for its share of the lanes.
@compute @workgroup_size(GROUP)
fn order(@builtin(local_invocation_id) local: vec3<u32>) {
    let share = (p.lanes + GROUP - 1u) / GROUP;
    let start = min(local.x * share, p.lanes);
    let end = min(start + share, p.lanes);
    var n = 0u;
    for (var t = start; t < end; t++) { n += tally[t]; }
    sums[local.x] = n;
    workgroupBarrier();
    var rows = 0u;
    for (var i = 0u; i < local.x; i++) { rows += sums[i]; }
    for (var t = start; t < end; t++) {
        tally[2u * p.lanes + t] = rows;
        rows += tally[t];
    }
}

// Cell, height and base of those peaks whose rows are asked for.
@compute @workgroup_size(GROUP)
fn collect(@builtin(global_invocation_id) id: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = id.x;
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
                let base = rims[cell * p.lanes + t];
                row_cells[row] = cell;
                row_values[row] = values[cell * p.lanes + t];
                var base_value = values[base * p.lanes + t];
                // Off the track lies what has no neighbour: its base is the lane's lowest value.
                if (OFF_TRACK && is_nan(base_value)) { base_value = value_of(surveys[t].floor); }
                row_values[p.room + row] = base_value;
            }
            row += 1u;
        }
    }
}
