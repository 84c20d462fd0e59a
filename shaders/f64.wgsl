// Values of 64 bits: two words each, the low one first. Words are compared as integers and never read as floats.

// The bits of a value.
alias Value = vec2<u32>;
// An integer of two words, the low one first, that orders as values do. NaN is lowest, and -0.0 and 0.0 are one.
alias Key = vec2<u32>;

const LOWEST: Key = vec2<u32>(0u, 0u);
// Above every value's key: what no cell reaches.
const UNREACHED: Key = vec2<u32>(0xffffffffu, 0xffffffffu);

fn is_nan(v: Value) -> bool {
    return is_nan64(v);
}

fn key(v: Value) -> Key {
    if (is_nan64(v)) { return LOWEST; }
    let negative = v.y > 0x80000000u || (v.y == 0x80000000u && v.x != 0u);
    let zero = ((v.y & 0x7fffffffu) | v.x) == 0u;
    let positive = vec2<u32>(select(v.x, 0u, zero), v.y | 0x80000000u);
    return select(positive, ~v, negative);
}

fn exceeds(a: Key, b: Key) -> bool {
    return a.y > b.y || (a.y == b.y && a.x > b.x);
}

fn reaches(a: Key, b: Key) -> bool {
    return a.y > b.y || (a.y == b.y && a.x >= b.x);
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
    return select(~k, vec2<u32>(k.x, k.y & 0x7fffffffu), k.y >= 0x80000000u);
}
