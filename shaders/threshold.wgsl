// Threshold: the cells whose value reaches their lane's level.
//
// Reads: Values, Levels. Writes: Above.
// Above: `value >= level`, a comparison per cell and lane; a level that is NaN is reached by none. The same whatever
// the order of cells.

@compute @workgroup_size(GROUP)
fn threshold(@builtin(global_invocation_id) id: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = id.x;
    let place = task(group);
    if (t >= p.bins || place >= p.n_x * p.words) { return; }
    let row = place / p.words;
    let word = place % p.words;
    let plane = p.n_x * p.words * p.lanes;
    let here = place * p.lanes + t;
    let n = cells_of_word(word);
    for (var a = 0u; a < p.alphas; a++) { above[a * plane + here] = 0u; }
    // A value is read once, and compared with all levels.
    let first = row * p.n_y + word * 32u;
    for (var i = 0u; i < n; i++) {
        let k = key(values[(first + i) * p.lanes + t]);
        for (var a = 0u; a < p.alphas; a++) {
            if (reaches(k, levels[a * p.lanes + t])) { above[a * plane + here] |= 1u << i; }
        }
    }
}
