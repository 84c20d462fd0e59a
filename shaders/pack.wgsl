// Pack: filled cells, or all that reach a whole level, from bits by cell to bits by lane. A layout kernel: it moves bits, and decides nothing.

// Words of as many lanes as the workgroup has invocations.
var<workgroup> rows: array<u32, GROUP>;

@compute @workgroup_size(GROUP)
fn pack(
    @builtin(local_invocation_id) local: vec3<u32>,
    @builtin(workgroup_id) group: vec3<u32>,
) {
    let places = p.n_x * p.words;
    let place = task(group);
    let t = lane(group, local);
    var bits = 0u;
    if (t < p.bins && place < p.levels * places) {
        if (WHOLE) { bits = above[place * p.lanes + t]; } else { bits = filled[place * p.lanes + t]; }
    }
    rows[local.x] = bits;
    workgroupBarrier();
    if (place >= p.levels * places) { return; }
    // Every 32 invocations write the words of 32 cells, each for their own 32 lanes.
    let cell = local.x % 32u;
    let first = local.x - cell;
    let word = place % p.words;
    let lane_words = (p.lanes + 31u) / 32u;
    let lane_word = (group.y * GROUP + first) / 32u;
    if (cell >= cells_of_word(word) || lane_word >= lane_words) { return; }
    var by_lane = 0u;
    for (var i = 0u; i < 32u; i++) { by_lane |= ((rows[first + i] >> cell) & 1u) << i; }
    // Row of all levels together: level * n_x + map row.
    let row = place / p.words;
    masks[(row * p.n_y + word * 32u + cell) * lane_words + lane_word] = by_lane;
}
