// Survey: minimum, maximum, first maximum and NaN of every lane.
//
// Reads: Values. Writes: Live, Floor, Dominant.
// Live: no NaN among the lane's cells, and its maximum exceeds its minimum. Floor: its minimum. Dominant: the first
// cell, in row-major order, that holds its maximum. Per lane and by comparison alone, so no order of lanes matters.
// Where NaN is off the track, it is no cell.
//
// Peaks: the local maxima of every lane.
//
// Reads: Values, Live, Floor. Writes: Peaks.
// Peaks: set where a live lane's value exceeds its Floor and is `>=` all of the eight neighbours that exist. A per-cell
// map, so no order matters. NaN off the track is no neighbour, and exceeds nothing.
//
// Values are read once: four map rows and those beside them, column by column, tell the extremes and the local maxima, and
// with these their highest neighbours, which are the bases of peaks on their own. What depends on the whole lane is left to
// `threshold`, which looks at few cells: a local maximum on the floor is none, one of a silent lane neither, and the dominant
// cell is in a block that holds the highest value.
//
// A lane's words are surveyed in blocks, by invocations of their own; then their findings come together, and Thresholds are
// written too: a value that was given, or an alpha times that of the dominant cell, for which the CPU engine has floats.

// The lowest values of four rows so far, and the highest one.
struct Extremes {
    lows: Keys,
    high: Key,
}

// A column of a patch, and the highest of the cells above and below each, without their own and with it.
struct Column {
    own: Keys,
    hollow: Keys,
    whole: Keys,
}

// Reads a column, `offset` lanes from the patch's first. One that is beside the patch may count for its extremes, too: it is
// in the same lane.
fn take(here: Patch, offset: u32, found: ptr<function, Extremes>) -> Column {
    let seen = column(here.at, offset);
    var low = seen;
    if (OFF_TRACK) { low = each_of(each(UNREACHED), seen, each_present(seen)); }
    (*found).lows = each_lower((*found).lows, low);
    // Beyond the map nothing is higher.
    let own = each_of(each(LOWEST), seen, here.inside);
    let rows = apart(own);
    if (!PEAKS) {
        let high = higher(higher(rows[0], rows[1]), higher(rows[2], rows[3]));
        (*found).high = higher((*found).high, high);
        return Column(own, own, own);
    }
    let step = p.n_y * p.lanes;
    var above = LOWEST;
    if (here.row > 0u) { above = key(values[here.at.x + offset - step]); }
    var below = LOWEST;
    if (here.row + BAND < p.n_x) { below = key(values[here.at.w + offset + step]); }
    let hollow = each_higher(
        side_by_side(above, rows[0], rows[1], rows[2]),
        side_by_side(rows[1], rows[2], rows[3], below),
    );
    let whole = each_higher(hollow, own);
    // The two in the middle have seen all four.
    let highest = apart(whole);
    (*found).high = higher((*found).high, higher(highest[1], highest[2]));
    return Column(own, hollow, whole);
}

// Looks at a word of a band; whether peaks in it may have neighbours as high as themselves.
fn look(place: u32, t: u32, found: ptr<function, Extremes>) -> bool {
    let here = patch_at(place, t);
    let n = cells_of_word(here.word);
    let first = here.word * 32u;
    var bits = vec4<u32>(0u);
    var ties = vec4<bool>(false);
    var left = each(LOWEST);
    if (PEAKS) {
        if (first > 0u) { left = take(here, 0u - p.lanes, found).whole; }
    }
    var now = take(here, 0u, found);
    var offset = 0u;
    for (var i = 0u; i < n; i++) {
        var right = Column(each(LOWEST), each(LOWEST), each(LOWEST));
        if (first + i + 1u < p.n_y) { right = take(here, offset + p.lanes, found); }
        if (PEAKS) {
            let around = each_higher(each_higher(left, now.hollow), right.whole);
            let equal = each_equals(now.own, around) & each_present(now.own);
            let peak = each_exceeds(now.own, around) | equal;
            if (any(peak)) {
                bits |= each_bit(1u << i, peak);
                ties |= equal;
                let bases = apart(around);
                if (peak.x) { rims[here.at.x + offset] = bases[0]; }
                if (peak.y) { rims[here.at.y + offset] = bases[1]; }
                if (peak.z) { rims[here.at.z + offset] = bases[2]; }
                if (peak.w) { rims[here.at.w + offset] = bases[3]; }
            }
            left = now.whole;
        }
        now = right;
        offset += p.lanes;
    }
    if (PEAKS) {
        peaks[word_of(here, 0u, t)] = bits.x;
        if (here.rows > 1u) { peaks[word_of(here, 1u, t)] = bits.y; }
        if (here.rows > 2u) { peaks[word_of(here, 2u, t)] = bits.z; }
        if (here.rows > 3u) { peaks[word_of(here, 3u, t)] = bits.w; }
    }
    return any(ties);
}

@compute @workgroup_size(GROUP)
fn survey(@builtin(local_invocation_id) local: vec3<u32>, @builtin(workgroup_id) group: vec3<u32>) {
    let t = lane(group, local);
    let block = task(group);
    if (t >= p.bins || block >= p.survey_blocks) { return; }
    let start = block * p.survey_words;
    let end = min(start + p.survey_words, bands() * p.words);
    var found = Extremes(each(UNREACHED), LOWEST);
    var ties = false;
    for (var place = start; place < end; place++) {
        let more = look(place, t, &found);
        ties = ties || more;
    }
    let lows = apart(found.lows);
    let low = lower(lower(lows[0], lows[1]), lower(lows[2], lows[3]));
    partials[block * p.lanes + t] = Partial(low, found.high, select(0u, TIES, ties));
}

// What cells of a live lane reach a level with, and nobody looks for in any other; nothing reaches NaN.
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
        whole.low = lower(whole.low, part.low);
        whole.high = higher(whole.high, part.high);
        whole.ties |= part.ties;
    }
    // NaN that is no cell is below all that is looked at here, any other beyond the infinities.
    let nan = exceeds(whole.high, GREATEST) || exceeds(LEAST, whole.low);
    let live = !nan && exceeds(whole.high, whole.low);
    surveys[t].floor = whole.low;
    surveys[t].high = whole.high;
    surveys[t].flags = select(0u, LIVE | whole.ties, live);
    atomicStore(&surveys[t].dominant, NOWHERE);
    // Of two zeros either: levels are the same.
    let height = value_of(whole.high);
    for (var a = 0u; a < p.levels; a++) {
        thresholds[a * p.lanes + t] = threshold_of(levels[a], height);
    }
}
