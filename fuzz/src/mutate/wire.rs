//! Damaging a model's bytes as fields of protobuf messages: numbers, lengths, repeated fields.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::numbers::number;

/// A field in an encoded message.
#[derive(Clone, Copy)]
struct Field {
    start: usize,
    /// Where its value begins: a number, or the bytes behind a length.
    value: usize,
    end: usize,
    wire: u64,
}

/// Changes one field, at any depth.
pub fn damage(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    let Some(path) = path(bytes, random) else { return };
    let Some((&field, outer)) = path.split_last() else { return };
    let old = bytes[field.start..field.end].to_vec();
    let key = &bytes[field.start..key_end(bytes, field.start)];
    let new = match random.random_range(0..6) {
        0 => Vec::new(),
        1 => [&old[..], &old[..]].concat(),
        _ if field.wire == 0 => {
            let mut new = key.to_vec();
            write(number(random) as u64, &mut new);
            new
        }
        2 if field.wire == 2 => {
            // A length that lies.
            let mut new = key.to_vec();
            write(number(random) as u64, &mut new);
            new.extend_from_slice(&bytes[field.value..field.end]);
            new
        }
        3 => {
            // The same value in another field.
            let mut new = Vec::new();
            write(random.random_range(1..30) << 3 | field.wire, &mut new);
            new.extend_from_slice(&bytes[key_end(bytes, field.start)..field.end]);
            new
        }
        _ => {
            let mut new = old.clone();
            if let Some(byte) = new.last_mut() {
                *byte = random.random();
            }
            new
        }
    };
    // The lengths of the messages around it must fit mostly, or nothing behind is read.
    let grown = new.len() as i64 - old.len() as i64;
    bytes.splice(field.start..field.end, new);
    for around in outer.iter().rev() {
        let at = key_end(bytes, around.start);
        let mut length = Vec::new();
        let inner = (around.end - around.value) as i64 + grown;
        write(inner.max(0) as u64, &mut length);
        if length.len() == around.value - at {
            bytes.splice(at..around.value, length);
        }
    }
}

/// A random field, with the messages around it.
fn path(bytes: &[u8], random: &mut ChaCha8Rng) -> Option<Vec<Field>> {
    let mut path: Vec<Field> = Vec::new();
    let (mut start, mut end) = (0, bytes.len());
    loop {
        let fields = fields(bytes, start, end);
        let Some(&field) = fields.as_deref().and_then(|fields| fields.choose(random)) else {
            return (!path.is_empty()).then_some(path);
        };
        path.push(field);
        if field.wire != 2 || path.len() > 8 || random.random_ratio(1, 5) {
            return Some(path);
        }
        (start, end) = (field.value, field.end);
    }
}

/// The fields of a message, if it is one.
fn fields(bytes: &[u8], start: usize, end: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    let mut at = start;
    while at < end {
        let start = at;
        let key = read(bytes, &mut at)?;
        let value = at;
        let (value, next) = match key & 7 {
            0 => {
                read(bytes, &mut at)?;
                (value, at)
            }
            1 => (value, at + 8),
            2 => {
                let length = usize::try_from(read(bytes, &mut at)?).ok()?;
                (at, at.checked_add(length)?)
            }
            5 => (value, at + 4),
            _ => return None,
        };
        if next > end || key >> 3 == 0 || key >> 3 > 40 {
            return None;
        }
        fields.push(Field { start, value, end: next, wire: key & 7 });
        at = next;
    }
    Some(fields)
}

fn key_end(bytes: &[u8], mut at: usize) -> usize {
    read(bytes, &mut at);
    at
}

fn read(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn write(mut value: u64, bytes: &mut Vec<u8>) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}
