//! What an operator's attributes may be.

use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;

/// One attribute: its name, and what it may hold.
pub(super) struct Attribute {
    pub name: &'static str,
    pub kind: Kind,
}

/// The type of an attribute with the range of its values.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// An integer from the first to the second.
    Int(i64, i64),
    /// A finite number.
    Float,
    /// A finite number from the first to the second.
    FloatIn(f32, f32),
    /// Integers, each from the first to the second.
    Ints(i64, i64),
    /// Finite numbers.
    Floats,
    /// One of these words.
    Text(&'static [&'static str]),
    /// Any text of moderate length; the operator reads it.
    AnyText,
    /// The number of an element type that the engine has.
    Type,
    /// A tensor; its contents have been checked.
    Tensor,
}

pub(super) const fn int(name: &'static str, least: i64, greatest: i64) -> Attribute {
    Attribute { name, kind: Kind::Int(least, greatest) }
}

/// A switch, 0 or 1.
pub(super) const fn flag(name: &'static str) -> Attribute {
    int(name, 0, 1)
}

/// An axis, which may count from the end. The operator compares it with the rank.
pub(super) const fn axis(name: &'static str) -> Attribute {
    int(name, -MAX_RANK, MAX_RANK)
}

pub(super) const fn float(name: &'static str) -> Attribute {
    Attribute { name, kind: Kind::Float }
}

pub(super) const fn float_in(name: &'static str, least: f32, greatest: f32) -> Attribute {
    Attribute { name, kind: Kind::FloatIn(least, greatest) }
}

pub(super) const fn ints(name: &'static str, least: i64, greatest: i64) -> Attribute {
    Attribute { name, kind: Kind::Ints(least, greatest) }
}

pub(super) const fn axes(name: &'static str) -> Attribute {
    ints(name, -MAX_RANK, MAX_RANK)
}

pub(super) const fn text(name: &'static str, words: &'static [&'static str]) -> Attribute {
    Attribute { name, kind: Kind::Text(words) }
}

pub(super) const fn of(name: &'static str, kind: Kind) -> Attribute {
    Attribute { name, kind }
}

/// The most dimensions of a tensor. Window attention needs 6.
pub(super) const MAX_RANK: i64 = 8;

impl Kind {
    fn attribute_type(self) -> AttributeType {
        match self {
            Self::Int(..) | Self::Type => AttributeType::Int,
            Self::Float | Self::FloatIn(..) => AttributeType::Float,
            Self::Ints(..) => AttributeType::Ints,
            Self::Floats => AttributeType::Floats,
            Self::Text(_) | Self::AnyText => AttributeType::String,
            Self::Tensor => AttributeType::Tensor,
        }
    }

    /// What is wrong with an attribute, if anything.
    pub fn problem(self, attribute: &pb::AttributeProto) -> Option<String> {
        let expected = self.attribute_type();
        if !attribute.ref_attr_name.is_empty() {
            return Some("refers to a function's attribute".into());
        }
        if attribute.r#type != expected as i32 {
            let found =
                AttributeType::try_from(attribute.r#type).map_or("unknown", |t| t.as_str_name());
            return Some(format!("has the type {found} instead of {}", expected.as_str_name()));
        }
        let outside = |value: String, least: String, greatest: String| {
            Some(format!("has the value {value}, which isn't within {least} to {greatest}"))
        };
        match self {
            Self::Int(least, greatest) if !(least..=greatest).contains(&attribute.i) => {
                outside(attribute.i.to_string(), least.to_string(), greatest.to_string())
            }
            Self::Ints(least, greatest) => {
                let bad =
                    attribute.ints.iter().find(|value| !(least..=greatest).contains(*value))?;
                outside(bad.to_string(), least.to_string(), greatest.to_string())
            }
            Self::Float if !attribute.f.is_finite() => {
                Some(format!("has the value {}", attribute.f))
            }
            Self::FloatIn(least, greatest) if !(least..=greatest).contains(&attribute.f) => {
                outside(attribute.f.to_string(), least.to_string(), greatest.to_string())
            }
            Self::Floats => {
                let bad = attribute.floats.iter().find(|value| !value.is_finite())?;
                Some(format!("has the value {bad}"))
            }
            Self::Text(words) if !words.iter().any(|word| word.as_bytes() == attribute.s) => {
                Some(format!(
                    "has the value `{}`; supported are {}",
                    String::from_utf8_lossy(&attribute.s),
                    words.join(", ")
                ))
            }
            Self::AnyText if attribute.s.len() > 100 => Some("is too long".into()),
            Self::Type if supported_type(attribute.i).is_none() => {
                Some(format!("has the element type {}, which isn't supported", attribute.i))
            }
            Self::Tensor if attribute.t.is_none() => Some("holds no tensor".into()),
            _ => None,
        }
    }
}

/// The element type with an ONNX number, if the engine has it.
pub(super) fn supported_type(number: i64) -> Option<DataType> {
    let dtype = DataType::try_from(i32::try_from(number).ok()?).ok()?;
    let supported =
        super::value::is_float(dtype) || super::value::is_int(dtype) || dtype == DataType::Bool;
    supported.then_some(dtype)
}
