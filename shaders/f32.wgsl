// Values of 32 bits: one word each. Words are compared as integers and never read as floats.

// The bits of a value.
alias Value = u32;
// An integer that orders as values do. NaN is lowest, and -0.0 and 0.0 are one.
alias Key = u32;

const LOWEST: Key = 0u;
// Above every value's key: what no cell reaches.
const UNREACHED: Key = 0xffffffffu;

fn is_nan(v: Value) -> bool {
    return (v & 0x7fffffffu) > 0x7f800000u;
}

fn key(v: Value) -> Key {
    if (is_nan(v)) { return LOWEST; }
    let negative = v > 0x80000000u;
    return select(v | 0x80000000u, ~v, negative);
}

fn exceeds(a: Key, b: Key) -> bool {
    return a > b;
}

fn reaches(a: Key, b: Key) -> bool {
    return a >= b;
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
    return select(~k, k & 0x7fffffffu, k >= 0x80000000u);
}
