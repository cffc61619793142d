//! What an operator of the table may look like.

use super::attributes::Attribute;
use super::call::{Call, Outcome};
use crate::error::Result;

/// Checks an operator's inputs and attributes, and infers its outputs.
pub(super) type Rule = fn(&mut Call) -> Result<Outcome>;

/// What an operator may look like.
pub(super) struct Operator {
    pub name: &'static str,
    /// The last operator set that has it.
    pub until: i64,
    /// The first operator set that has it.
    pub since: i64,
    pub inputs: (usize, usize),
    pub outputs: (usize, usize),
    pub attributes: &'static [Attribute],
    pub rule: Rule,
    /// Whether it may read tensors without elements.
    pub takes_empty: bool,
}

pub(super) const fn operator(
    name: &'static str,
    inputs: (usize, usize),
    attributes: &'static [Attribute],
    rule: Rule,
) -> Operator {
    Operator {
        name,
        until: i64::MAX,
        since: 1,
        inputs,
        outputs: (1, 1),
        attributes,
        rule,
        takes_empty: false,
    }
}

impl Operator {
    pub const fn since(self, since: i64) -> Self {
        Self { since, ..self }
    }

    pub const fn until(self, until: i64) -> Self {
        Self { until, ..self }
    }

    pub const fn outputs(self, least: usize, greatest: usize) -> Self {
        Self { outputs: (least, greatest), ..self }
    }

    pub const fn takes_empty(self) -> Self {
        Self { takes_empty: true, ..self }
    }
}

/// As many inputs or outputs as one likes.
pub(super) const MANY: usize = 4096;
