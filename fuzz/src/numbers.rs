//! Numbers that models break at, and choices.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Numbers that are wrong in most places.
const NUMBERS: [i64; 28] = [
    -1,
    0,
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
    16,
    17,
    99,
    255,
    1000,
    4096,
    65_537,
    -2,
    -3,
    -9,
    1 << 20,
    1 << 31,
    (1 << 31) - 1,
    -(1 << 31),
    i64::MAX,
    i64::MIN,
    1 << 40,
];

/// The same for floating point.
pub const FLOATS: [f32; 10] =
    [0.0, -1.0, 1.0, 0.5, 1e30, -1e30, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE, 3.0];

/// Mostly a small number, else one of these.
pub fn number(random: &mut ChaCha8Rng) -> i64 {
    if random.random_ratio(2, 3) { random.random_range(-2..8) } else { pick(&NUMBERS, random) }
}

/// One of a list.
pub fn pick<T: Copy>(from: &[T], random: &mut ChaCha8Rng) -> T {
    from[random.random_range(0..from.len())]
}
