// Bases: the peaks of every lane in row-major order, each with the height of its group's rim.
//
// Reads: Values, Peaks. Writes: Bases.
// Bases: for each peak its cell, its value, and the highest value among the non-peak neighbours of the eight-connected
// group of peak cells to which it belongs. A group is a set and its rim's maximum a comparison, so no order matters. Where
// all neighbours of a group are off the track, its base is the lowest value of the lane.
//
// Here a base is a key, and one off the track is the lowest; the order is left to the collection. The survey has left each peak
// its highest neighbour, and one on its own is done with that. The cells of a group find their highest neighbour that is no
// peak, and pass the highest that they know of on to each other until all hold the same: a least fixpoint of a monotone
// update, whoever is asked first. That happens a few times in blocks of rows side by side, which settles nearly all groups. In
// the lanes where it does not, one invocation sweeps over the map, down and up in turn; every iteration is one word or one
// cell of a group, and a sweep may end anywhere and go on later. Lanes without groups are left alone.

// Beside DONE: rows are taken from below to above.
const UPWARD: u32 = 2u;
// The sweep has moved a cell on.
const CHANGED: u32 = 4u;
// A sweep has ended before this one.
const SECOND: u32 = 8u;

// A step back on the way down: -1 by wrapping.
const BACK: u32 = 0xffffffffu;

// Whether the cell at (x, y) is a peak; cells outside the map are none, and coordinates below zero wrap.
fn is_peak(x: u32, y: u32, t: u32) -> bool {
    if (x >= p.n_x || y >= p.n_y) { return false; }
    return ((peaks[(x * p.words + y / 32u) * p.lanes + t] >> (y % 32u)) & 1u) == 1u;
}

// A word of peaks and, to its right and left, those of its map row; none outside the map.
fn shifted(x: u32, word: u32, t: u32) -> vec3<u32> {
    if (x >= p.n_x) { return vec3<u32>(0u, 0u, 0u); }
    let here = (x * p.words + word) * p.lanes + t;
    let cells = peaks[here];
    var right = cells << 1u;
    var left = cells >> 1u;
    if (word > 0u) { right |= peaks[here - p.lanes] >> 31u; }
    if (word + 1u < p.words) { left |= peaks[here + p.lanes] << 31u; }
    return vec3<u32>(cells, left, right);
}

// The peaks of a word that have a peak beside them: their group has more than one cell.
fn grouped(x: u32, word: u32, t: u32) -> u32 {
    let row = shifted(x, word, t);
    if (row.x == 0u) { return 0u; }
    let before = shifted(x - 1u, word, t);
    let after = shifted(x + 1u, word, t);
    return row.x & (row.y | row.z | before.x | before.y | before.z | after.x | after.y | after.z);
}

// Whether a lane may have groups at all.
fn has_groups(t: u32) -> bool {
    return (surveys[t].flags & TIES) != 0u;
}

// The higher of `best` and the cell at (x, y), if that is on the map and no peak.
fn rim_with(best: Key, x: u32, y: u32, t: u32) -> Key {
    if (x >= p.n_x || y >= p.n_y || is_peak(x, y, t)) { return best; }
    return higher(best, key(values[(x * p.n_y + y) * p.lanes + t]));
}

// The rim of each cell of a group.
@compute @workgroup_size(GROUP)
fn rim(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    let place = task(group);
    if (t >= p.bins || place >= p.n_x * p.words || !has_groups(t)) { return; }
    let x = place / p.words;
    var left = grouped(x, place % p.words, t);
    for (var i = 0u; i < 32u && left != 0u; i++) {
        let y = (place % p.words) * 32u + countTrailingZeros(left);
        left &= left - 1u;
        var best = LOWEST;
        best = rim_with(best, x - 1u, y - 1u, t);
        best = rim_with(best, x - 1u, y, t);
        best = rim_with(best, x - 1u, y + 1u, t);
        best = rim_with(best, x, y - 1u, t);
        best = rim_with(best, x, y + 1u, t);
        best = rim_with(best, x + 1u, y - 1u, t);
        best = rim_with(best, x + 1u, y, t);
        best = rim_with(best, x + 1u, y + 1u, t);
        rims[(x * p.n_y + y) * p.lanes + t] = best;
    }
}

// The higher of `best` and what the cell at (x, y) holds, if that is a peak: where peaks are neighbours they are equal,
// and of one group.
fn passed_on(best: Key, x: u32, y: u32, t: u32) -> Key {
    if (!is_peak(x, y, t)) { return best; }
    let other = rims[(x * p.n_y + y) * p.lanes + t];
    // No selection: the compiler of one driver takes a minute over eight of them in a row.
    if (exceeds(other, best)) { return other; }
    return best;
}

// The highest that the neighbours behind the peak at (x, y) hold, on a sweep's way, or `best`. `back` is one step back:
// BACK, or 1 on the way up.
fn heard(best: Key, x: u32, y: u32, back: u32, t: u32) -> Key {
    var found = passed_on(best, x, y + back, t);
    found = passed_on(found, x + back, y + back, t);
    found = passed_on(found, x + back, y, t);
    return passed_on(found, x + back, y - back, t);
}

// Moves the cell at (x, y) on to the highest that its neighbours behind it hold; whether it was lower.
fn moved_on(x: u32, y: u32, back: u32, t: u32) -> bool {
    let here = (x * p.n_y + y) * p.lanes + t;
    let old = rims[here];
    let best = heard(old, x, y, back, t);
    if (!exceeds(best, old)) { return false; }
    rims[here] = best;
    return true;
}

// The next of a word's cells on a sweep's way.
fn next_bit(left: u32, upward: bool) -> u32 {
    return select(countTrailingZeros(left), 31u - countLeadingZeros(left), upward);
}

// A sweep down and one up through every second block of map rows: blocks of one dispatch do not touch, so that nobody reads
// what another one writes. Where it takes too long it ends before its end: nobody relies on it.
fn share(odd: u32, block: u32, t: u32) {
    let row = (2u * block + odd) * p.share_rows;
    if (t >= p.bins || row >= p.n_x || !has_groups(t)) { return; }
    let start = row * p.words;
    let end = min(row + p.share_rows, p.n_x) * p.words;
    let n = end - start;
    // Words that have been begun, and the cells of groups in the last one that are still to come.
    var begun = 0u;
    var left = 0u;
    for (var i = 0u; i < ITERATIONS; i++) {
        if (left == 0u) {
            if (begun == 2u * n) { break; }
            let place = select(start + begun, end + n - 1u - begun, begun >= n);
            left = grouped(place / p.words, place % p.words, t);
            begun += 1u;
            continue;
        }
        let upward = begun > n;
        let place = select(start + begun - 1u, end + n - begun, upward);
        let bit = next_bit(left, upward);
        left &= ~(1u << bit);
        moved_on(place / p.words, (place % p.words) * 32u + bit, select(BACK, 1u, upward), t);
    }
}

@compute @workgroup_size(GROUP)
fn share_even(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    share(0u, task(group), lane(group, local));
}

@compute @workgroup_size(GROUP)
fn share_odd(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    share(1u, task(group), lane(group, local));
}

// Whether all groups of a lane are settled.
@compute @workgroup_size(GROUP)
fn settle(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    let place = task(group);
    if (t >= p.bins || place >= p.n_x * p.words || !has_groups(t)) { return; }
    let x = place / p.words;
    let word = place % p.words;
    var left = grouped(x, word, t);
    for (var i = 0u; i < 32u && left != 0u; i++) {
        let y = word * 32u + countTrailingZeros(left);
        left &= left - 1u;
        let old = rims[(x * p.n_y + y) * p.lanes + t];
        // Those behind on the way down, and on the way up, are all neighbours.
        if (exceeds(heard(heard(old, x, y, BACK, t), x, y, 1u, t), old)) {
            atomicStore(&restless[t], 1u);
            return;
        }
    }
}

// Passes on in the lanes that are not settled.
@compute @workgroup_size(GROUP)
fn spread(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    if (t >= p.bins) { return; }
    let state = plateaus[t];
    var flags = state.y;
    if ((flags & DONE) != 0u) { return; }
    if (atomicLoad(&restless[t]) == 0u) {
        plateaus[t].y = DONE;
        return;
    }
    let places = p.n_x * p.words;
    // Words of this sweep that have been begun, and the cells of groups in the last one that are still to come.
    var begun = state.x;
    var left = state.z;
    let most = min(p.iterations, ITERATIONS);
    for (var i = 0u; i < most; i++) {
        let upward = (flags & UPWARD) != 0u;
        if (left == 0u) {
            if (begun < places) {
                let place = select(begun, places - 1u - begun, upward);
                left = grouped(place / p.words, place % p.words, t);
                begun += 1u;
                continue;
            }
            if ((flags & (SECOND | CHANGED)) == SECOND) {
                flags |= DONE;
                break;
            }
            flags = ((flags | SECOND) & ~CHANGED) ^ UPWARD;
            begun = 0u;
            continue;
        }
        let place = select(begun - 1u, places - begun, upward);
        let bit = next_bit(left, upward);
        left &= ~(1u << bit);
        if (moved_on(place / p.words, (place % p.words) * 32u + bit, select(BACK, 1u, upward), t)) {
            flags |= CHANGED;
        }
    }
    plateaus[t] = vec4<u32>(begun, flags, left, 0u);
}
