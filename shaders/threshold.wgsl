// Threshold: the cells of every lane that reach one level.
//
// Reads: Values, Levels. Writes: Above.
// Above: set where `value >= level`; a NaN level is reached nowhere. A per-cell map, so no order matters.
//
// Values are read again only in blocks whose highest one reaches a level. Here is also found, where blocks hold the extremes of
// their lane, what the survey could not know: its first maximum, and which local maxima are none because they are its floor.

// What there is to be found in a patch, and how much of that its block has.
struct Prospect {
    floor: Key,
    high: Key,
    block: Partial,
    live: bool,
}

// The threshold of a level, or, beyond the last level, what no cell reaches.
fn level_of(a: u32, t: u32) -> Keys {
    if (a >= p.levels) { return each(UNREACHED); }
    return each(thresholds[a * p.lanes + t]);
}

fn put(here: Patch, a: u32, bits: vec4<u32>, t: u32) {
    if (a >= p.levels) { return; }
    let plane = a * p.n_x * p.words * p.lanes;
    above[plane + word_of(here, 0u, t)] = bits.x;
    if (here.rows > 1u) { above[plane + word_of(here, 1u, t)] = bits.y; }
    if (here.rows > 2u) { above[plane + word_of(here, 2u, t)] = bits.z; }
    if (here.rows > 3u) { above[plane + word_of(here, 3u, t)] = bits.w; }
}

// Levels from number `a` on, as many as are compiled in: values are read once for them.
fn reach(here: Patch, a: u32, t: u32, known: Prospect) {
    let level0 = level_of(a, t);
    var level1 = each(UNREACHED);
    var level2 = each(UNREACHED);
    var level3 = each(UNREACHED);
    if (LEVELS > 1u) { level1 = level_of(a + 1u, t); }
    if (LEVELS > 2u) { level2 = level_of(a + 2u, t); }
    if (LEVELS > 3u) { level3 = level_of(a + 3u, t); }
    var bits0 = vec4<u32>(0u);
    var bits1 = vec4<u32>(0u);
    var bits2 = vec4<u32>(0u);
    var bits3 = vec4<u32>(0u);
    var some = each_exceeds(level0, each(known.block.high));
    if (LEVELS > 1u) { some &= each_exceeds(level1, each(known.block.high)); }
    if (LEVELS > 2u) { some &= each_exceeds(level2, each(known.block.high)); }
    if (LEVELS > 3u) { some &= each_exceeds(level3, each(known.block.high)); }
    if (known.live && !some.x) {
        let n = cells_of_word(here.word);
        var offset = 0u;
        for (var i = 0u; i < n; i++) {
            let k = column(here.at, offset);
            let bit = 1u << i;
            bits0 |= each_bit(bit, !each_exceeds(level0, k));
            if (LEVELS > 1u) { bits1 |= each_bit(bit, !each_exceeds(level1, k)); }
            if (LEVELS > 2u) { bits2 |= each_bit(bit, !each_exceeds(level2, k)); }
            if (LEVELS > 3u) { bits3 |= each_bit(bit, !each_exceeds(level3, k)); }
            offset += p.lanes;
        }
    }
    put(here, a, bits0, t);
    if (LEVELS > 1u) { put(here, a + 1u, bits1, t); }
    if (LEVELS > 2u) { put(here, a + 2u, bits2, t); }
    if (LEVELS > 3u) { put(here, a + 3u, bits3, t); }
}

// Looks for the dominant cell, and for cells on the floor: a bit for each.
fn extremes(here: Patch, t: u32, known: Prospect) -> vec4<u32> {
    let n = cells_of_word(here.word);
    var first = vec4<u32>(NOWHERE);
    var grounded = vec4<u32>(0u);
    var offset = 0u;
    for (var i = 0u; i < n; i++) {
        let k = column(here.at, offset);
        first = min(first, select(vec4<u32>(NOWHERE), vec4<u32>(i), each_equals(k, each(known.high))));
        grounded |= each_bit(1u << i, !each_exceeds(k, each(known.floor)));
        offset += p.lanes;
    }
    // Rows beyond the map stand for one on it, which comes first.
    let row = here.row + select(select(select(3u, 2u, first.z != NOWHERE), 1u, first.y != NOWHERE), 0u, first.x != NOWHERE);
    let y = select(select(select(first.w, first.z, first.z != NOWHERE), first.y, first.y != NOWHERE), first.x, first.x != NOWHERE);
    if (y != NOWHERE) { atomicMin(&surveys[t].dominant, row * p.n_y + here.word * 32u + y); }
    return grounded;
}

@compute @workgroup_size(GROUP)
fn threshold(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    let place = task(group);
    if (t >= p.bins || place >= bands() * p.words) { return; }
    let here = patch_at(place, t);
    let known = Prospect(
        surveys[t].floor,
        surveys[t].high,
        partials[place / p.survey_words * p.lanes + t],
        (surveys[t].flags & LIVE) != 0u,
    );
    let summit = LEVELS > 0u && !exceeds(known.high, known.block.high);
    let ground = PEAKS && !exceeds(known.block.low, known.floor);
    // Peaks that are none.
    var gone = vec4<u32>(0u);
    if (!known.live) {
        gone = ~gone;
    } else if (summit || ground) {
        gone = extremes(here, t, known);
    }
    if (PEAKS) {
        if (!known.live || ground) {
            peaks[word_of(here, 0u, t)] &= ~gone.x;
            if (here.rows > 1u) { peaks[word_of(here, 1u, t)] &= ~gone.y; }
            if (here.rows > 2u) { peaks[word_of(here, 2u, t)] &= ~gone.z; }
            if (here.rows > 3u) { peaks[word_of(here, 3u, t)] &= ~gone.w; }
        }
    }
    for (var a = 0u; a < p.levels; a += LEVELS) { reach(here, a, t, known); }
}
