// What all kernels share: sizes, and the arrays of a batch, each under the number of its row in the table of
// `src/gpu/arrays.rs`. A lane is one time bin; neighbouring invocations are neighbouring lanes, so that they read
// neighbouring words.

// Invocations of a workgroup.
override GROUP: u32;
// Loop iterations that an invocation of a resumable kernel may run in one dispatch, at most.
override ITERATIONS: u32;
// Whether masks connect by eight neighbours.
override EIGHT: bool;
// Whether masks hold all cells that reach their level, connected or not.
override WHOLE: bool;
// Whether NaN is off the track: no cell at all.
override OFF_TRACK: bool;
// Whether peaks are asked for.
override PEAKS: bool;
// Levels that are looked at together, of as many as are asked for; none: no masks are asked for.
override LEVELS: u32;

struct Params {
    n_x: u32,
    n_y: u32,
    // Words of 32 cells in a map row.
    words: u32,
    // Distance between the rows of an array, in lanes.
    lanes: u32,
    // Lanes that hold a time bin.
    bins: u32,
    levels: u32,
    // Words of a block of the survey, each of four map rows, and blocks.
    survey_words: u32,
    survey_blocks: u32,
    // Words of a block of the list of peaks, and blocks; no blocks: no peaks are asked for.
    list_words: u32,
    list_blocks: u32,
    // Rows of the list of peaks that are collected: this many from the first on.
    first_row: u32,
    rows: u32,
    // Rows for which there is room: distance between heights and bases.
    room: u32,
    // Workgroups of the first dimension; further ones continue in the third.
    fold: u32,
    // Loop iterations of a resumable kernel in this submission's dispatches.
    iterations: u32,
    // Map rows of a block in which plateaus are settled.
    share_rows: u32,
}

struct Partial {
    low: Key,
    high: Key,
    // Whether a cell is as high as its highest neighbour.
    ties: u32,
}

struct Survey {
    floor: Key,
    high: Key,
    // LIVE, TIES.
    flags: u32,
    dominant: atomic<u32>,
}

@group(0) @binding(0) var<uniform> p: Params;
// [cell][lane]
@group(0) @binding(1) var<storage, read> values: array<Value>;
// [level]: bits of a binary64 that is an alpha, or of a value; then OF_PEAK or ABSOLUTE
@group(0) @binding(2) var<storage, read> levels: array<vec4<u32>>;
// [survey block][lane]
@group(0) @binding(3) var<storage, read_write> partials: array<Partial>;
// [lane]
@group(0) @binding(4) var<storage, read_write> surveys: array<Survey>;
// [level][lane]
@group(0) @binding(5) var<storage, read_write> thresholds: array<Key>;
// [level][map row][word][lane]: bits by cell of the row
@group(0) @binding(6) var<storage, read_write> above: array<u32>;
// [level][map row][word][lane]: bits by cell of the row
@group(0) @binding(7) var<storage, read_write> filled: array<u32>;
// [level][lane]
@group(0) @binding(8) var<storage, read_write> floods: array<vec4<u32>>;
// [level][cell][word]: bits by lane
@group(0) @binding(9) var<storage, read_write> masks: array<u32>;
// [map row][word][lane]: bits by cell of the row
@group(0) @binding(10) var<storage, read_write> peaks: array<u32>;
// [cell][lane]: for a peak, the highest value found on the rim of its plateau
@group(0) @binding(11) var<storage, read_write> rims: array<Key>;
// [lane]
@group(0) @binding(12) var<storage, read_write> plateaus: array<vec4<u32>>;
// [list block][lane]: peaks before this block
@group(0) @binding(13) var<storage, read_write> before: array<u32>;
// [lane] thrice: number of peaks; whether something is pending; peaks of the lanes before
@group(0) @binding(14) var<storage, read_write> tally: array<u32>;
// [row]: cell of each peak
@group(0) @binding(15) var<storage, read_write> row_cells: array<u32>;
// [row] twice: heights, bases
@group(0) @binding(16) var<storage, read_write> row_values: array<Value>;

// [lane]: whether a cell on a plateau has yet to hear of a higher value on the rim
@group(0) @binding(17) var<storage, read_write> restless: array<atomic<u32>>;

// Kinds of levels.
const OF_PEAK: u32 = 0u;
const ABSOLUTE: u32 = 1u;

const NOWHERE: u32 = 0xffffffffu;
// In the flags of a lane: there is something to be found in it.
const LIVE: u32 = 1u;
// Some peak may have a neighbour as high as itself.
const TIES: u32 = 2u;
// In the flags of a flood, or of a lane's plateaus: it has come to its end.
const DONE: u32 = 1u;

// The lane of an invocation. Workgroups that share their lanes follow one another, so that the rows of neighbouring tasks
// are still in the cache.
fn lane(group: vec3<u32>, local: vec3<u32>) -> u32 {
    return group.y * GROUP + local.x;
}

// The number of this workgroup among those that share its lanes.
fn task(group: vec3<u32>) -> u32 {
    return group.z * p.fold + group.x;
}

// The bits of a row's word that are cells.
fn cells_of_word(word: u32) -> u32 {
    return min(32u, p.n_y - word * 32u);
}

// Map rows are taken four at a time, as a band.
const BAND: u32 = 4u;

fn bands() -> u32 {
    return (p.n_x + BAND - 1u) / BAND;
}

// A word of a band: 32 cells of each of its rows.
struct Patch {
    row: u32,
    word: u32,
    // Its rows that are on the map.
    rows: u32,
    // Which they are.
    inside: vec4<bool>,
    // Where the first value of each row lies; rows beyond the map stand for the last one on it.
    at: vec4<u32>,
}

// Number `place` of those of a lane.
fn patch_at(place: u32, t: u32) -> Patch {
    let row = place / p.words * BAND;
    let word = place % p.words;
    let rows = min(BAND, p.n_x - row);
    let number = vec4<u32>(0u, 1u, 2u, 3u);
    let first = (row * p.n_y + word * 32u) * p.lanes + t;
    let at = vec4<u32>(first) + min(number, vec4<u32>(rows - 1u)) * (p.n_y * p.lanes);
    return Patch(row, word, rows, number < vec4<u32>(rows), at);
}

// Where bits by cell of row `i` of a patch lie.
fn word_of(here: Patch, i: u32, t: u32) -> u32 {
    return ((here.row + i) * p.words + here.word) * p.lanes + t;
}

// The keys of a column of a patch, `offset` lanes from its first.
fn column(at: vec4<u32>, offset: u32) -> Keys {
    return side_by_side(
        key(values[at.x + offset]),
        key(values[at.y + offset]),
        key(values[at.z + offset]),
        key(values[at.w + offset]),
    );
}

fn each(k: Key) -> Keys {
    return side_by_side(k, k, k, k);
}

fn each_higher(a: Keys, b: Keys) -> Keys {
    return each_of(a, b, each_exceeds(b, a));
}

fn each_lower(a: Keys, b: Keys) -> Keys {
    return each_of(a, b, each_exceeds(a, b));
}

fn higher(a: Key, b: Key) -> Key {
    return select(a, b, exceeds(b, a));
}

fn lower(a: Key, b: Key) -> Key {
    return select(a, b, exceeds(a, b));
}

// A bit in each row where that is said.
fn each_bit(bit: u32, where_said: vec4<bool>) -> vec4<u32> {
    return select(vec4<u32>(0u), vec4<u32>(bit), where_said);
}
