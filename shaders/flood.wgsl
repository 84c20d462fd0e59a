// Flood: the cells of every lane that are connected to its dominant cell through cells above the level.
//
// Reads: Live, Dominant, Above. Writes: Filled.
// Filled: in a live lane, the least set that holds the dominant cell and every cell of Above that touches a cell of the
// set, by four or eight neighbours. The least fixpoint of a monotone update, so no order matters.
//
// One invocation for each lane and level sweeps over the map's rows, down and up in turn, word by word: a row takes what
// lies beside its cells in the row before, and fills its runs to the right by a carry, then to the left by the same carry
// over reversed words. Two sweeps in turn that change nothing are the fixpoint. Every iteration of the loop is one word,
// and all that it needs to go on later is kept, so that a sweep may end anywhere.

// Beside DONE: rows are taken from below to above.
const UPWARD: u32 = 2u;
// Within a row, words are taken from right to left.
const LEFTWARD: u32 = 4u;
const CARRY: u32 = 8u;
// The row holds a filled cell.
const WET: u32 = 16u;
// The sweep has filled a cell.
const CHANGED: u32 = 32u;
// A sweep has ended before this one.
const SECOND: u32 = 64u;

@compute @workgroup_size(GROUP)
fn seed(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    let a = task(group);
    if (t >= p.bins) { return; }
    let dominant = atomicLoad(&surveys[t].dominant);
    // In a silent lane it is nowhere, and not looked at.
    let live = (surveys[t].flags & LIVE) != 0u;
    let row = dominant / p.n_y;
    let column = dominant % p.n_y;
    let place = row * p.words + column / 32u;
    let at = (a * p.n_x * p.words + place) * p.lanes + t;
    let bit = 1u << (column % 32u);
    var flags = DONE;
    // A whole level is not filled: what reaches it is what is asked for.
    if (live && !WHOLE) {
        filled[at] = bit;
        // Where the dominant cell does not reach its own threshold, it is the whole mask.
        if ((above[at] & bit) != 0u) { flags = 0u; }
    }
    floods[a * p.lanes + t] = vec4<u32>(row * p.words, flags, row, row);
}

// The cells of a word that touch a filled cell of the row whose first word is number `first`.
fn beside(plane: u32, first: u32, word: u32, t: u32) -> u32 {
    let here = (plane + first + word) * p.lanes + t;
    var cells = filled[here];
    if (EIGHT) {
        let middle = cells;
        cells |= (middle << 1u) | (middle >> 1u);
        if (word > 0u) { cells |= filled[here - p.lanes] >> 31u; }
        if (word + 1u < p.words) { cells |= filled[here + p.lanes] << 31u; }
    }
    return cells;
}

@compute @workgroup_size(GROUP)
fn flood(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    let a = task(group);
    if (t >= p.bins) { return; }
    let state = floods[a * p.lanes + t];
    var flags = state.y;
    if ((flags & DONE) != 0u) { return; }
    let plane = a * p.n_x * p.words;
    var row = state.x / p.words;
    var word = state.x % p.words;
    // The first and the last row that hold a filled cell.
    var top = state.z;
    var bottom = state.w;
    let most = min(p.iterations, ITERATIONS);
    for (var i = 0u; i < most; i++) {
        let here = (plane + row * p.words + word) * p.lanes + t;
        let open = above[here];
        let old = filled[here];
        let carry = select(0u, 1u, (flags & CARRY) != 0u);
        var ended = false;
        if ((flags & LEFTWARD) == 0u) {
            var seeds = old;
            if ((flags & UPWARD) == 0u) {
                if (row > 0u) { seeds |= beside(plane, (row - 1u) * p.words, word, t); }
            } else if (row + 1u < p.n_x) {
                seeds |= beside(plane, (row + 1u) * p.words, word, t);
            }
            seeds &= open;
            // Each seed, and the carry, runs through the open cells to its right, which the sum clears.
            let part = open + seeds;
            let sum = part + carry;
            let now = seeds | (open & ~sum);
            flags = select(flags & ~CARRY, flags | CARRY, part < open || sum < part);
            if (now != 0u) { flags |= WET; }
            if (now != old) {
                filled[here] = now;
                flags |= CHANGED;
            }
            if (word + 1u < p.words) {
                word += 1u;
            } else if ((flags & WET) != 0u) {
                flags = (flags | LEFTWARD) & ~CARRY;
            } else {
                ended = true;
            }
        } else {
            let open_back = reverseBits(open);
            let part = open_back + reverseBits(old);
            let sum = part + carry;
            let now = old | reverseBits(open_back & ~sum);
            flags = select(flags & ~CARRY, flags | CARRY, part < open_back || sum < part);
            if (now != old) {
                filled[here] = now;
                flags |= CHANGED;
            }
            if (word > 0u) { word -= 1u; } else { ended = true; }
        }
        if (!ended) { continue; }
        // The row is done: on to the next, or to the next sweep.
        let wet = (flags & WET) != 0u;
        if (wet) {
            top = min(top, row);
            bottom = max(bottom, row);
        }
        word = 0u;
        flags &= ~(WET | CARRY | LEFTWARD);
        if ((flags & UPWARD) == 0u) {
            if (row + 1u < p.n_x && (wet || row < bottom)) {
                row += 1u;
                continue;
            }
            row = bottom;
        } else {
            if (row > 0u && (wet || row > top)) {
                row -= 1u;
                continue;
            }
            row = top;
        }
        if ((flags & (SECOND | CHANGED)) == SECOND) {
            flags |= DONE;
            break;
        }
        flags = ((flags | SECOND) & ~CHANGED) ^ UPWARD;
    }
    floods[a * p.lanes + t] = vec4<u32>(row * p.words + word, flags, top, bottom);
}
