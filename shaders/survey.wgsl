// Survey: minimum, maximum, first maximum and NaN of every lane.
//
// Reads: Values. Writes: Live, Floor, Dominant.
// Live: no NaN among the lane's cells, and its maximum exceeds its minimum. Floor: its minimum. Dominant: the first
// cell, in row-major order, that holds its maximum. Per lane and by comparison alone, so no order of lanes matters.
// Where NaN is off the track, it is no cell.
//
// A lane's cells are surveyed in blocks, by invocations of their own; then their findings come together, and Thresholds are
// written too: a value that was given, or an alpha times that of the dominant cell, for which the CPU engine has floats.

@compute @workgroup_size(GROUP)
fn survey(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    let block = task(group);
    if (t >= p.bins || block >= p.survey_blocks) { return; }
    let start = block * p.survey_cells;
    let end = min(start + p.survey_cells, p.n_x * p.n_y);
    var found = Partial(UNREACHED, LOWEST, start, 0u);
    for (var cell = start; cell < end; cell++) {
        let value = values[cell * p.lanes + t];
        let k = key(value);
        if (is_nan(value)) {
            if (OFF_TRACK) { continue; }
            found.nan = 1u;
        }
        if (exceeds(k, found.high)) {
            found.high = k;
            found.first = cell;
        }
        if (exceeds(found.low, k)) { found.low = k; }
    }
    partials[block * p.lanes + t] = found;
}

// What cells of a live lane reach a level with; nothing reaches NaN.
fn threshold_of(level: vec4<u32>, height: Value) -> Key {
    var value = given(level.xy);
    if (level.z == OF_PEAK) { value = product(level.xy, height); }
    if (is_nan(value)) { return UNREACHED; }
    return key(value);
}

@compute @workgroup_size(GROUP)
fn join(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    if (t >= p.bins) { return; }
    var whole = partials[t];
    for (var block = 1u; block < p.survey_blocks; block++) {
        let part = partials[block * p.lanes + t];
        if (exceeds(part.high, whole.high)) {
            whole.high = part.high;
            whole.first = part.first;
        }
        if (exceeds(whole.low, part.low)) { whole.low = part.low; }
        whole.nan |= part.nan;
    }
    let live = whole.nan == 0u && exceeds(whole.high, whole.low);
    surveys[t] = Survey(whole.low, whole.first, select(0u, 1u, live));
    let height = values[whole.first * p.lanes + t];
    for (var a = 0u; a < p.levels; a++) {
        var threshold = UNREACHED;
        if (live) { threshold = threshold_of(levels[a], height); }
        thresholds[a * p.lanes + t] = threshold;
    }
}
