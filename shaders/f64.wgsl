// Values of 64 bits: two words each, the low one first. Words are compared as integers and never read as floats.

// The bits of a value.
alias Value = vec2<u32>;
// An integer of two words, the low one first, that orders as values do; -0.0 and 0.0 are one. NaN is lowest where it is off
// the track, and beyond the infinities otherwise.
alias Key = vec2<u32>;

const LOWEST: Key = vec2<u32>(0u, 0u);
// Above every number's key: what no cell of a live lane reaches.
const UNREACHED: Key = vec2<u32>(0xffffffffu, 0xffffffffu);
// The keys of the infinities.
const LEAST: Key = vec2<u32>(0u, 0x00100000u);
const GREATEST: Key = vec2<u32>(0u, 0xfff00000u);

fn is_nan(v: Value) -> bool {
    return is_nan64(v);
}

fn key(v: Value) -> Key {
    if (OFF_TRACK) {
        if (is_nan64(v)) { return LOWEST; }
    }
    // Sign and magnitude become one integer, in which both zeros are one.
    let sign = u32(i32(v.y) >> 31u);
    let low = (v.x ^ sign) - sign;
    let high = ((v.y & 0x7fffffffu) ^ sign) + (sign & select(0u, 1u, v.x == 0u));
    return vec2<u32>(low, high ^ 0x80000000u);
}

fn exceeds(a: Key, b: Key) -> bool {
    return a.y > b.y || (a.y == b.y && a.x > b.x);
}

// The threshold alpha * height.
fn product(alpha: vec2<u32>, height: Value) -> Value {
    return product64(alpha, height);
}

// A value that was given as bits, the low word first.
fn given(bits: vec2<u32>) -> Value {
    return bits;
}

// The value of a key; of two zeros the positive one.
fn value_of(k: Key) -> Value {
    let sign = u32(i32(~k.y) >> 31u);
    let high = ((k.y ^ 0x80000000u) ^ sign) + (sign & select(0u, 1u, k.x == 0u));
    return vec2<u32>((k.x ^ sign) - sign, high | (sign & 0x80000000u));
}

// The keys of four map rows, side by side.
struct Keys {
    low: vec4<u32>,
    high: vec4<u32>,
}

fn side_by_side(a: Key, b: Key, c: Key, d: Key) -> Keys {
    return Keys(vec4<u32>(a.x, b.x, c.x, d.x), vec4<u32>(a.y, b.y, c.y, d.y));
}

fn apart(k: Keys) -> array<Key, 4> {
    return array<Key, 4>(
        vec2<u32>(k.low.x, k.high.x),
        vec2<u32>(k.low.y, k.high.y),
        vec2<u32>(k.low.z, k.high.z),
        vec2<u32>(k.low.w, k.high.w),
    );
}

fn each_exceeds(a: Keys, b: Keys) -> vec4<bool> {
    return (a.high > b.high) | ((a.high == b.high) & (a.low > b.low));
}

fn each_equals(a: Keys, b: Keys) -> vec4<bool> {
    return (a.high == b.high) & (a.low == b.low);
}

// Of each row the first, or the second where that is said.
fn each_of(a: Keys, b: Keys, second: vec4<bool>) -> Keys {
    return Keys(select(a.low, b.low, second), select(a.high, b.high, second));
}

// Of each row whether it is a key at all: LOWEST is none.
fn each_present(k: Keys) -> vec4<bool> {
    return k.high != vec4<u32>(0u);
}
