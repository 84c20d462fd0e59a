// Threshold: the cells of every lane that reach one level.
//
// Reads: Values, Levels. Writes: Above.
// Above: set where `value >= level`; a NaN level is reached nowhere. A per-cell map, so no order matters.

// The threshold of a level, or, beyond the last level, what no cell reaches.
fn level_of(a: u32, t: u32) -> Key {
    if (a >= p.levels) { return UNREACHED; }
    return thresholds[a * p.lanes + t];
}

@compute @workgroup_size(GROUP)
fn threshold(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    let place = task(group);
    if (t >= p.bins || place >= p.n_x * p.words) { return; }
    let row = place / p.words;
    let word = place % p.words;
    let plane = p.n_x * p.words * p.lanes;
    let here = place * p.lanes + t;
    let n = cells_of_word(word);
    let first = row * p.n_y + word * 32u;
    // Four levels at a time: a value is read once for them, and their words stay in registers.
    for (var a = 0u; a < p.levels; a += 4u) {
        let level0 = level_of(a, t);
        let level1 = level_of(a + 1u, t);
        let level2 = level_of(a + 2u, t);
        let level3 = level_of(a + 3u, t);
        var bits = vec4<u32>(0u, 0u, 0u, 0u);
        for (var i = 0u; i < n; i++) {
            let k = key(values[(first + i) * p.lanes + t]);
            let reached = vec4<bool>(reaches(k, level0), reaches(k, level1), reaches(k, level2), reaches(k, level3));
            bits |= select(vec4<u32>(0u, 0u, 0u, 0u), vec4<u32>(1u << i), reached);
        }
        above[a * plane + here] = bits.x;
        if (a + 1u < p.levels) { above[(a + 1u) * plane + here] = bits.y; }
        if (a + 2u < p.levels) { above[(a + 2u) * plane + here] = bits.z; }
        if (a + 3u < p.levels) { above[(a + 3u) * plane + here] = bits.w; }
    }
}
