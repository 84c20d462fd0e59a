// Peaks: the local maxima of every lane.
//
// Reads: Values, Live, Floor. Writes: Peaks.
// Peaks: set where a live lane's value exceeds its Floor and is `>=` all of the eight neighbours that exist. A per-cell
// map, so no order matters. NaN off the track is no neighbour, and exceeds nothing.

// The highest of a column of up to three cells, around map row `row`, without the row's own cell if `hollow`.
fn column(row: u32, y: u32, t: u32, hollow: bool) -> Key {
    var highest = LOWEST;
    if (row > 0u) { highest = key(values[((row - 1u) * p.n_y + y) * p.lanes + t]); }
    if (row + 1u < p.n_x) {
        let k = key(values[((row + 1u) * p.n_y + y) * p.lanes + t]);
        if (exceeds(k, highest)) { highest = k; }
    }
    if (!hollow) {
        let k = key(values[(row * p.n_y + y) * p.lanes + t]);
        if (exceeds(k, highest)) { highest = k; }
    }
    return highest;
}

fn higher(a: Key, b: Key) -> Key {
    if (exceeds(b, a)) { return b; }
    return a;
}

@compute @workgroup_size(GROUP)
fn find(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    let place = task(group);
    if (t >= p.bins || place >= p.n_x * p.words) { return; }
    let row = place / p.words;
    let word = place % p.words;
    let found = surveys[t];
    var is_peak = 0u;
    if (found.live == 1u) {
        let first = word * 32u;
        let n = cells_of_word(word);
        // Each column is read once: its own cell, and the highest of the cells above and below.
        var left = LOWEST;
        if (first > 0u) { left = column(row, first - 1u, t, false); }
        var middle = column(row, first, t, true);
        var own = key(values[(row * p.n_y + first) * p.lanes + t]);
        for (var i = 0u; i < n; i++) {
            var right = LOWEST;
            var next_middle = LOWEST;
            var next_own = LOWEST;
            let y = first + i + 1u;
            if (y < p.n_y) {
                next_middle = column(row, y, t, true);
                next_own = key(values[(row * p.n_y + y) * p.lanes + t]);
                right = higher(next_middle, next_own);
            }
            let around = higher(higher(left, middle), right);
            if (reaches(own, around) && exceeds(own, found.floor)) {
                is_peak |= 1u << i;
            }
            left = higher(middle, own);
            middle = next_middle;
            own = next_own;
        }
    }
    peaks[place * p.lanes + t] = is_peak;
}
