//! Damaging a file without knowing its format.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::numbers::{FLOATS, number, pick};

/// Changes a file in a few places. `other` is one of the same kind, to take parts from.
pub fn damage(bytes: &mut Vec<u8>, other: &[u8], random: &mut ChaCha8Rng) {
    for _ in 0..random.random_range(1..=4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.random_range(0..bytes.len());
        let end = (at + random.random_range(1..64)).min(bytes.len());
        match random.random_range(0..12) {
            0..3 => bytes[at] = random.random(),
            3 => bytes[at] ^= 1 << random.random_range(0..8),
            4 => drop(bytes.drain(at..end)),
            5 => {
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
            6 if random.random_ratio(1, 3) => bytes.truncate(at),
            6 | 7 => replace_digits(bytes, random),
            8 if bytes.len() >= 4 => {
                let at = at.min(bytes.len() - 4) & !3;
                bytes[at..at + 4].copy_from_slice(&pick(&FLOATS, random).to_le_bytes());
            }
            9 if !other.is_empty() => {
                let from = random.random_range(0..other.len());
                let part = &other[from..(from + 64).min(other.len())];
                bytes.splice(at..end, part.iter().copied());
            }
            10 if bytes.len() >= 8 => {
                let at = at.min(bytes.len() - 8);
                bytes[at..at + 8].copy_from_slice(&number(random).to_le_bytes());
            }
            _ => bytes[at] = pick(b"\0\n\r\t ,\"'[]{}:;/\\.-0\xff", random),
        }
    }
}

/// Puts another number in the place of one written in digits.
fn replace_digits(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    let starts: Vec<usize> = (0..bytes.len())
        .filter(|&at| bytes[at].is_ascii_digit() && (at == 0 || !bytes[at - 1].is_ascii_digit()))
        .collect();
    let Some(&start) = starts.choose(random) else { return };
    let rest = &bytes[start..];
    let end = start + rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let text = match random.random_range(0..4) {
        0 => "1e39".to_owned(),
        1 => "0.5".to_owned(),
        _ => number(random).to_string(),
    };
    bytes.splice(start..end, text.into_bytes());
}
