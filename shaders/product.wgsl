// The one product of the definition, alpha * height, on bit patterns: IEEE 754 multiplication of binary64, and
// conversion from and to binary32, both rounding to nearest, ties to even. Integers of 64 bits are pairs of words, the
// low one first.

const NAN64: vec2<u32> = vec2<u32>(0u, 0x7ff80000u);
const INFINITY64: u32 = 0x7ff00000u;
const SIGN: u32 = 0x80000000u;

fn is_nan64(v: vec2<u32>) -> bool {
    let high = v.y & 0x7fffffffu;
    return high > INFINITY64 || (high == INFINITY64 && v.x != 0u);
}

fn add(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let low = a.x + b.x;
    return vec2<u32>(low, a.y + b.y + select(0u, 1u, low < a.x));
}

// v << by, for by in 0..64.
fn shift_up(v: vec2<u32>, by: u32) -> vec2<u32> {
    if (by == 0u) { return v; }
    if (by >= 32u) { return vec2<u32>(0u, v.x << (by - 32u)); }
    return vec2<u32>(v.x << by, (v.y << by) | (v.x >> (32u - by)));
}

// v >> by, for by in 0..64.
fn shift_down(v: vec2<u32>, by: u32) -> vec2<u32> {
    if (by == 0u) { return v; }
    if (by >= 32u) { return vec2<u32>(v.y >> (by - 32u), 0u); }
    return vec2<u32>((v.x >> by) | (v.y << (32u - by)), v.y >> by);
}

fn leading_zeros(v: vec2<u32>) -> u32 {
    return select(countLeadingZeros(v.y), 32u + countLeadingZeros(v.x), v.y == 0u);
}

// The product of two words.
fn widening(a: u32, b: u32) -> vec2<u32> {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    let low = a_low * b_low;
    let cross = a_low * b_high;
    let other = a_high * b_low;
    // Less than 3 * 2^16.
    let middle = (low >> 16u) + (cross & 0xffffu) + (other & 0xffffu);
    let high = a_high * b_high + (cross >> 16u) + (other >> 16u) + (middle >> 16u);
    return vec2<u32>((low & 0xffffu) | (middle << 16u), high);
}

// Exponent and fraction of 1.xxx * 2^(exponent - bias): `significand` has its highest bit at 63, and `more` says
// whether anything below bit 0 has been cut off. The format has `fraction` bits of fraction. The exponent must be below
// the one of infinity; rounding may carry into it, which then is right.
fn rounded(significand: vec2<u32>, more: bool, exponent: i32, fraction: u32) -> vec2<u32> {
    var kept = significand;
    var lost = more;
    // The highest bit adds one to the exponent.
    var field = exponent - 1;
    if (exponent <= 0) {
        // Subnormal: the significand moves down, the exponent stays at its lowest.
        let down = u32(1 - exponent);
        field = 0;
        if (down >= 64u) {
            lost = true;
            kept = vec2<u32>(0u, 0u);
        } else {
            let cut = shift_up(kept, 64u - down);
            lost = lost || (cut.x | cut.y) != 0u;
            kept = shift_down(kept, down);
        }
    }
    let drop = 63u - fraction;
    let rest = shift_up(kept, 64u - drop);
    kept = shift_down(kept, drop);
    let half = rest.y == SIGN && rest.x == 0u && !lost;
    let up = select((rest.y & SIGN) != 0u, (kept.x & 1u) == 1u, half);
    if (up) { kept = add(kept, vec2<u32>(1u, 0u)); }
    return add(kept, shift_up(vec2<u32>(u32(field), 0u), fraction));
}

// a * b for binary64.
fn product64(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
    let sign = (a.y ^ b.y) & SIGN;
    let a_high = a.y & 0x7fffffffu;
    let b_high = b.y & 0x7fffffffu;
    let a_infinite = a_high == INFINITY64 && a.x == 0u;
    let b_infinite = b_high == INFINITY64 && b.x == 0u;
    let a_zero = (a_high | a.x) == 0u;
    let b_zero = (b_high | b.x) == 0u;
    if (is_nan64(a) || is_nan64(b) || (a_infinite && b_zero) || (a_zero && b_infinite)) { return NAN64; }
    if (a_infinite || b_infinite) { return vec2<u32>(0u, sign | INFINITY64); }
    if (a_zero || b_zero) { return vec2<u32>(0u, sign); }
    // Both significands with their highest bit at 63.
    let a_fraction = vec2<u32>(a.x, a.y & 0xfffffu);
    let b_fraction = vec2<u32>(b.x, b.y & 0xfffffu);
    let a_field = a_high >> 20u;
    let b_field = b_high >> 20u;
    let a_shift = select(11u, leading_zeros(a_fraction), a_field == 0u);
    let b_shift = select(11u, leading_zeros(b_fraction), b_field == 0u);
    let a_top = shift_up(a_fraction, a_shift) | vec2<u32>(0u, select(SIGN, 0u, a_field == 0u));
    let b_top = shift_up(b_fraction, b_shift) | vec2<u32>(0u, select(SIGN, 0u, b_field == 0u));
    let a_exponent = select(i32(a_field), 12 - i32(a_shift), a_field == 0u);
    let b_exponent = select(i32(b_field), 12 - i32(b_shift), b_field == 0u);
    // The product has 128 bits, the highest at 127 or 126.
    let low = widening(a_top.x, b_top.x);
    let cross = widening(a_top.x, b_top.y);
    let other = widening(a_top.y, b_top.x);
    let high = widening(a_top.y, b_top.y);
    let middle = add(add(vec2<u32>(low.y, 0u), vec2<u32>(cross.x, 0u)), vec2<u32>(other.x, 0u));
    var top = add(add(high, vec2<u32>(cross.y, 0u)), add(vec2<u32>(other.y, 0u), vec2<u32>(middle.y, 0u)));
    var below = middle.x;
    var exponent = a_exponent + b_exponent - 1022;
    if ((top.y & SIGN) == 0u) {
        top = shift_up(top, 1u) | vec2<u32>(below >> 31u, 0u);
        below = below << 1u;
        exponent -= 1;
    }
    if (exponent >= 2047) { return vec2<u32>(0u, sign | INFINITY64); }
    return rounded(top, (below | low.x) != 0u, exponent, 52u) | vec2<u32>(0u, sign);
}

// binary32 to binary64: exact.
fn widen(v: u32) -> vec2<u32> {
    let sign = v & SIGN;
    let field = (v >> 23u) & 0xffu;
    let fraction = v & 0x7fffffu;
    if (field == 0xffu) { return vec2<u32>(0u, select(sign | INFINITY64, NAN64.y, fraction != 0u)); }
    if (field == 0u && fraction == 0u) { return vec2<u32>(0u, sign); }
    // The highest bit at 23: it is hidden, or has to be moved there.
    let shift = select(0u, countLeadingZeros(fraction) - 8u, field == 0u);
    let bits = (fraction << shift) & 0x7fffffu;
    let exponent = u32(select(i32(field), 1 - i32(shift), field == 0u) + 896);
    return vec2<u32>(bits << 29u, sign | (exponent << 20u) | (bits >> 3u));
}

// binary64 to binary32, rounded.
fn narrow(v: vec2<u32>) -> u32 {
    let sign = v.y & SIGN;
    let field = (v.y >> 20u) & 0x7ffu;
    if (is_nan64(v)) { return 0x7fc00000u; }
    // Subnormal numbers of 64 bits, and zero, are less than half the least of 32.
    if (field == 0u) { return sign; }
    let exponent = i32(field) - 896;
    if (exponent >= 255) { return sign | 0x7f800000u; }
    let significand = shift_up(vec2<u32>(v.x, v.y & 0xfffffu), 11u) | vec2<u32>(0u, SIGN);
    return rounded(significand, false, exponent, 23u).x | sign;
}
