//! How many operators run on which kernels.

use std::collections::BTreeMap;

use serde::Serialize;
use tract_onnx::prelude::TypedModel;

use itp_ood_kernels::CustomOp;

/// How many operators run on which kernels, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BackboneReport {
    /// Operators on this crate's kernels. Serialised as `own`.
    #[serde(rename = "own")]
    pub custom: BTreeMap<String, usize>,
    /// Operators on tract's kernels.
    pub tract: BTreeMap<String, usize>,
}

impl BackboneReport {
    /// Number of operators on this crate's kernels.
    pub fn num_custom(&self) -> usize {
        self.custom.values().sum()
    }

    /// Number of operators on tract's kernels.
    pub fn num_tract(&self) -> usize {
        self.tract.values().sum()
    }
}

pub(super) fn report(model: &TypedModel) -> BackboneReport {
    let mut report = BackboneReport::default();
    for node in model.nodes() {
        let name = node.op.name().into_owned();
        let custom = node.op_is::<CustomOp>();
        if !matches!(name.as_str(), "Const" | "Source") {
            let counts = if custom { &mut report.custom } else { &mut report.tract };
            *counts.entry(name).or_default() += 1;
        }
    }
    report
}
