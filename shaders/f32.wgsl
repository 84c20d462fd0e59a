// Values of 32 bits: one word each. Words are compared as integers and never read as floats.

// The bits of a value.
alias Value = u32;
// An integer that orders as values do; -0.0 and 0.0 are one. NaN is lowest where it is off the track, and beyond the
// infinities otherwise.
alias Key = u32;

const LOWEST: Key = 0u;
// Above every number's key: what no cell of a live lane reaches.
const UNREACHED: Key = 0xffffffffu;
// The keys of the infinities.
const LEAST: Key = 0x00800000u;
const GREATEST: Key = 0xff800000u;

fn is_nan(v: Value) -> bool {
    return (v & 0x7fffffffu) > 0x7f800000u;
}

fn key(v: Value) -> Key {
    if (OFF_TRACK) {
        if (is_nan(v)) { return LOWEST; }
    }
    // Sign and magnitude become one integer, in which both zeros are one.
    let sign = u32(i32(v) >> 31u);
    return (((v & 0x7fffffffu) ^ sign) - sign) ^ 0x80000000u;
}

fn exceeds(a: Key, b: Key) -> bool {
    return a > b;
}

// The threshold alpha * height: a product in 64 bits, rounded once to 32.
fn product(alpha: vec2<u32>, height: Value) -> Value {
    return narrow(product64(alpha, widen(height)));
}

// A value that was given as bits, the low word first.
fn given(bits: vec2<u32>) -> Value {
    return bits.x;
}

// The value of a key; of two zeros the positive one.
fn value_of(k: Key) -> Value {
    let sign = u32(i32(~k) >> 31u);
    return (((k ^ 0x80000000u) ^ sign) - sign) | (sign & 0x80000000u);
}

// The keys of four map rows, side by side.
alias Keys = vec4<u32>;

fn side_by_side(a: Key, b: Key, c: Key, d: Key) -> Keys {
    return vec4<u32>(a, b, c, d);
}

fn apart(k: Keys) -> array<Key, 4> {
    return array<Key, 4>(k.x, k.y, k.z, k.w);
}

fn each_exceeds(a: Keys, b: Keys) -> vec4<bool> {
    return a > b;
}

fn each_equals(a: Keys, b: Keys) -> vec4<bool> {
    return a == b;
}

// Of each row the first, or the second where that is said.
fn each_of(a: Keys, b: Keys, second: vec4<bool>) -> Keys {
    return select(a, b, second);
}

// Of each row whether it is a key at all: LOWEST is none.
fn each_present(k: Keys) -> vec4<bool> {
    return k != vec4<u32>(0u);
}
