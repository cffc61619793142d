//! The one form in which results leave: serde, camelCase, arrays that a binary format may take whole.
//!
//! A format for people (JSON) gets arrays as lists; another one (JavaScript's objects, Python's
//! arrays) gets a newtype named after its element, `f32` or `u8`, that holds the bytes in
//! little-endian order.

use ndarray::Array1;
use serde::{Serialize, Serializer};

/// Numbers that JavaScript gets as a `Float32Array`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(
    feature = "typescript",
    derive(ts_rs::TS),
    ts(rename = "Float32Array", type = "Float32Array")
)]
pub struct Floats(pub Array1<f32>);

/// As [`Floats`], kept in double precision for JSON.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(
    feature = "typescript",
    derive(ts_rs::TS),
    ts(rename = "Float32Array", type = "Float32Array")
)]
pub struct Doubles(pub Array1<f64>);

macro_rules! array_of {
    ($name:ident, $element:ty) => {
        impl std::ops::Deref for $name {
            type Target = Array1<$element>;

            fn deref(&self) -> &Array1<$element> {
                &self.0
            }
        }

        impl From<Array1<$element>> for $name {
            fn from(values: Array1<$element>) -> Self {
                Self(values)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    return serializer.collect_seq(&self.0);
                }
                let bytes = self.0.iter().flat_map(|&value| (value as f32).to_le_bytes());
                serializer.serialize_newtype_struct("f32", &Bytes(bytes.collect()))
            }
        }
    };
}

array_of!(Floats, f32);
array_of!(Doubles, f64);

/// Bytes that are serialised as such.
pub(crate) struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

/// Serialises bytes as such where the format can; for `#[serde(serialize_with = ...)]`.
pub(crate) fn bytes<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return serializer.collect_seq(bytes);
    }
    serializer.serialize_bytes(bytes)
}
