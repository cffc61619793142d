//! Constants that have been computed before.
//!
//! Exporters write the relative positions of attention anew for every layer. Where these follow
//! from the shape of a feature map, they turn out to be the same only here.

use std::collections::HashMap;

use prost::Message as _;
use tract_onnx::pb;

use super::value::{Data, Value};

/// Longer constants are the same if they lie at the same place in memory.
const MAX_COMPARED: usize = 64;

/// What operators yielded for constants.
#[derive(Default)]
pub(super) struct Computed(HashMap<Vec<u8>, Entry>);

struct Entry {
    outputs: Vec<Value>,
    /// Keeps their places in memory taken.
    _inputs: Vec<Option<Value>>,
}

impl Computed {
    /// What an operator yielded for the same inputs.
    pub fn get(&self, key: &[u8]) -> Option<&[Value]> {
        self.0.get(key).map(|entry| &*entry.outputs)
    }

    pub fn insert(&mut self, key: Vec<u8>, inputs: Vec<Option<Value>>, outputs: Vec<Value>) {
        if outputs.iter().any(|output| output.len() > MAX_COMPARED) {
            self.0.insert(key, Entry { outputs, _inputs: inputs });
        }
    }
}

/// What operator this is, and on what; only if all its inputs are known. An operator without any is
/// a stored constant, perhaps large.
pub(super) fn key(node: &pb::NodeProto, opset: i64, inputs: &[Option<Value>]) -> Option<Vec<u8>> {
    if inputs.is_empty() || inputs.iter().flatten().any(|input| input.data.is_none()) {
        return None;
    }
    let operator = pb::NodeProto {
        op_type: node.op_type.clone(),
        domain: node.domain.clone(),
        attribute: node.attribute.clone(),
        ..Default::default()
    };
    let mut key = operator.encode_to_vec();
    let mut push = |number: u64| key.extend(number.to_le_bytes());
    push(opset as u64);
    push(node.output.len() as u64);
    for input in inputs {
        let Some(input) = input else {
            push(u64::MAX);
            continue;
        };
        push(input.dtype as u64);
        push(input.rank() as u64);
        input.shape.iter().for_each(|&dim| push(dim as u64));
        match input.data.as_ref()? {
            Data::Ints(values) if values.len() <= MAX_COMPARED => {
                values.iter().for_each(|&value| push(value as u64));
            }
            Data::Floats(values) if values.len() <= MAX_COMPARED => {
                values.iter().for_each(|value| push(value.to_bits().into()));
            }
            Data::Ints(values) => push(values.as_ptr() as u64),
            Data::Floats(values) => push(values.as_ptr() as u64),
        }
    }
    Some(key)
}
