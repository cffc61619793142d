//! Where a network's time goes, operator by operator.

use serde::Serialize;
use tract_onnx::prelude::{TValue, TVec, TractResult, TypedFact, TypedModel, TypedSimplePlan};
use tract_onnx::tract_core::internal::{Cost, EvalContext};
use tract_onnx::tract_core::model::TypedNode;
use tract_onnx::tract_core::ops::OpState;
use tract_onnx::tract_core::plan::eval;

use itp_ood_kernels::CustomOp;

/// One operator of the network, and what it took.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OperatorTime {
    /// The operator's name, as in [`BackboneReport`](crate::BackboneReport).
    pub operator: String,
    /// The name of its node in the graph.
    pub node: String,
    /// Whether it is this crate's.
    #[serde(rename = "own")]
    pub custom: bool,
    /// Shape of its first output.
    pub shape: Vec<usize>,
    /// The least of all runs, in seconds.
    pub seconds: f64,
    /// Products that are added, by the operator's own account; 0 where it gives none.
    pub multiply_adds: u64,
}

/// Runs the network several times and times each operator by a clock in seconds.
pub(crate) fn profile(
    plan: &std::sync::Arc<TypedSimplePlan>,
    input: &TValue,
    runs: usize,
    clock: &dyn Fn() -> f64,
) -> TractResult<Vec<OperatorTime>> {
    let model = plan.model();
    let mut seconds = vec![f64::INFINITY; model.nodes().len()];
    for _ in 0..runs.max(1) {
        let timed = |context: &EvalContext,
                     state: Option<&mut dyn OpState>,
                     node: &TypedNode,
                     inputs: TVec<TValue>| {
            let start = clock();
            let outputs = eval(context, state, node, inputs);
            let least = &mut seconds[node.id];
            *least = least.min(clock() - start);
            outputs
        };
        plan.spawn()?.run_plan_with_eval(vec![input.clone()].into(), timed)?;
    }
    let mut times = Vec::new();
    for node in model.nodes().iter().filter(|node| seconds[node.id].is_finite()) {
        let name = node.op.name().into_owned();
        if matches!(name.as_str(), "Const" | "Source") {
            continue;
        }
        times.push(OperatorTime {
            operator: name,
            node: node.name.clone(),
            custom: node.op_is::<CustomOp>(),
            shape: node.outputs[0].fact.shape.as_concrete().unwrap_or_default().to_vec(),
            seconds: seconds[node.id],
            multiply_adds: multiply_adds(model, node)?,
        });
    }
    Ok(times)
}

fn multiply_adds(model: &TypedModel, node: &TypedNode) -> TractResult<u64> {
    let inputs = model.node_input_facts(node.id)?;
    let inputs: TVec<&TypedFact> = inputs.into_iter().collect();
    let costs = node.op.cost(&inputs)?;
    let products = costs.iter().filter(|(cost, _)| matches!(cost, Cost::FMA(_)));
    Ok(products.filter_map(|(_, count)| count.to_i64().ok()).map(|count| count as u64).sum())
}
