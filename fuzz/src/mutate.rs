//! Damaging a model by its structure: operators, attributes, inputs, shapes, weights.

mod splice;
mod wire;

use prost::Message;
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use tract_onnx::pb;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;

use self::splice::{exchange, splice};
use crate::numbers::{FLOATS, number, pick};
use crate::{bytes, nodes};

const DTYPES: [DataType; 12] = [
    DataType::Float,
    DataType::Uint8,
    DataType::Int8,
    DataType::Int32,
    DataType::Int64,
    DataType::String,
    DataType::Bool,
    DataType::Float16,
    DataType::Double,
    DataType::Uint64,
    DataType::Bfloat16,
    DataType::Undefined,
];

/// A model made of one or two of the seeds.
pub fn mutant(seeds: &[Vec<u8>], random: &mut ChaCha8Rng) -> Vec<u8> {
    let Some(bytes) = seeds.choose(random) else { return Vec::new() };
    let other = seeds.choose(random).map_or(&[][..], Vec::as_slice);
    let mut bytes = bytes.clone();
    let kind = random.random_range(0..20);
    if kind < 17 {
        let Ok(mut model) = pb::ModelProto::decode(bytes.as_slice()) else { return bytes };
        if kind > 14
            && let Some(graph) = &mut model.graph
        {
            exchange(graph, random);
            let other = pb::ModelProto::decode(other).ok().and_then(|model| model.graph);
            if let Some(other) = other.filter(|_| random.random()) {
                splice(graph, &other, random);
            }
        } else {
            for _ in 0..random.random_range(1..=3) {
                mutate(&mut model, random);
            }
        }
        bytes = model.encode_to_vec();
    }
    match kind {
        17 | 18 => (0..random.random_range(1..4)).for_each(|_| wire::damage(&mut bytes, random)),
        19 => bytes::damage(&mut bytes, other, random),
        _ => (),
    }
    bytes
}

/// The names of all values: inputs, stored tensors, and what operators yield.
fn names(graph: &pb::GraphProto) -> Vec<String> {
    let inputs = graph.input.iter().map(|input| &input.name);
    let stored = graph.initializer.iter().map(|tensor| &tensor.name);
    let computed = graph.node.iter().flat_map(|node| &node.output);
    inputs.chain(stored).chain(computed).filter(|name| !name.is_empty()).cloned().collect()
}

fn mutate(model: &mut pb::ModelProto, random: &mut ChaCha8Rng) {
    let kind = random.random_range(0..100);
    if kind < 3 {
        if let Some(set) = model.opset_import.first_mut() {
            set.version = random.random_range(5..27);
        }
        return;
    }
    if kind < 4 {
        let function = pb::FunctionProto {
            name: Some("Relu".into()),
            domain: Some(pick(&["", "x"], random).into()),
            ..Default::default()
        };
        model.functions.push(function);
        return;
    }
    let Some(graph) = &mut model.graph else { return };
    match kind {
        4..30 => insert(graph, random),
        30..52 => change_attributes(graph, random),
        52..62 => rewire(graph, random),
        62..66 => retype(graph, random),
        66..72 => remove(graph, random),
        72..92 => change_tensor(graph, random),
        92..97 => change_input(graph, random),
        _ => wrap(graph, random),
    }
}

/// Puts an operator between another and those that read it.
fn insert(graph: &mut pb::GraphProto, random: &mut ChaCha8Rng) {
    if graph.node.is_empty() {
        return;
    }
    // Mostly ahead of the last layer, which is found before anything else is checked.
    let at = random.random_range(0..graph.node.len());
    let before: Vec<String> = graph
        .input
        .iter()
        .map(|input| input.name.clone())
        .chain(graph.node[..at].iter().flat_map(|node| node.output.clone()))
        .collect();
    let Some(value) = before.choose(random).cloned() else { return };
    let count = graph.node.len() + graph.initializer.len();
    let name = format!("fuzz{count}");
    let mut node = nodes::random(&value, &name, graph, random);
    if random.random_ratio(1, 6)
        && let Some(other) = before.choose(random)
    {
        node.input.push(other.clone());
    }
    for reader in &mut graph.node[at..] {
        for input in &mut reader.input {
            if *input == value {
                input.clone_from(&name);
            }
        }
    }
    graph.node.insert(at, node);
}

fn any_node<'a>(
    graph: &'a mut pb::GraphProto,
    random: &mut ChaCha8Rng,
) -> Option<&'a mut pb::NodeProto> {
    let count = graph.node.len();
    (count > 0).then(|| &mut graph.node[random.random_range(0..count)])
}

fn change_attributes(graph: &mut pb::GraphProto, random: &mut ChaCha8Rng) {
    let Some(node) = any_node(graph, random) else { return };
    if node.attribute.is_empty() || random.random_ratio(1, 4) {
        node.attribute.push(nodes::attribute(random));
        return;
    }
    let at = random.random_range(0..node.attribute.len());
    if random.random_ratio(1, 8) {
        node.attribute.remove(at);
        return;
    }
    let attribute = &mut node.attribute[at];
    match random.random_range(0..10) {
        0 => attribute.r#type = random.random_range(0..15),
        1 => attribute.name = nodes::attribute(random).name,
        2 if !attribute.ints.is_empty() => {
            attribute.ints.pop();
        }
        3 => attribute.ints.push(number(random)),
        4 => {
            attribute.s = nodes::attribute(random).s;
        }
        5 if attribute.t.is_some() => {
            if let Some(tensor) = &mut attribute.t {
                damage_tensor(tensor, random);
            }
        }
        _ => {
            attribute.i = number(random);
            attribute.f = if random.random() { attribute.i as f32 } else { pick(&FLOATS, random) };
            if !attribute.ints.is_empty() {
                let at = random.random_range(0..attribute.ints.len());
                attribute.ints[at] = number(random);
            }
        }
    }
}

/// Changes what an operator reads or yields.
fn rewire(graph: &mut pb::GraphProto, random: &mut ChaCha8Rng) {
    let names = names(graph);
    let Some(node) = any_node(graph, random) else { return };
    let Some(name) = names.choose(random).cloned() else { return };
    match random.random_range(0..8) {
        0 => node.input.push(name),
        1 => {
            node.input.pop();
        }
        2 => node.output.push(format!("{}_more", node.op_type)),
        3 if !node.input.is_empty() => {
            let at = random.random_range(0..node.input.len());
            node.input[at].clear();
        }
        4 if node.input.len() > 1 => node.input.swap(0, 1),
        5 => node.output.clear(),
        _ if !node.input.is_empty() => {
            let at = random.random_range(0..node.input.len());
            node.input[at] = name;
        }
        _ => (),
    }
}

fn retype(graph: &mut pb::GraphProto, random: &mut ChaCha8Rng) {
    let Some(node) = any_node(graph, random) else { return };
    if random.random_ratio(1, 6) {
        node.domain = pick(&["ai.onnx", "com.microsoft", "x", "ai.onnx.ml"], random).into();
    } else {
        node.op_type = nodes::kind(random).into();
    }
}

fn remove(graph: &mut pb::GraphProto, random: &mut ChaCha8Rng) {
    if graph.node.is_empty() {
        return;
    }
    let at = random.random_range(0..graph.node.len());
    if random.random_ratio(1, 4) {
        let other = random.random_range(0..graph.node.len());
        graph.node.swap(at, other);
        return;
    }
    let node = graph.node.remove(at);
    let (Some(input), Some(output)) = (node.input.first(), node.output.first()) else { return };
    for reader in &mut graph.node {
        for name in &mut reader.input {
            if name == output {
                name.clone_from(input);
            }
        }
    }
}

fn change_tensor(graph: &mut pb::GraphProto, random: &mut ChaCha8Rng) {
    let count = graph.initializer.len();
    if count > 0 {
        damage_tensor(&mut graph.initializer[random.random_range(0..count)], random);
    }
}

/// Changes a tensor's shape, type or values; the number of values mostly still fits.
fn damage_tensor(tensor: &mut pb::TensorProto, random: &mut ChaCha8Rng) {
    let integers = tensor.data_type == DataType::Int64 as i32;
    match random.random_range(0..10) {
        0 => tensor.dims.push(number(random)),
        1 => tensor.data_type = pick(&DTYPES, random) as i32,
        2 => tensor.dims = vec![],
        3 if tensor.dims.len() > 1 => tensor.dims.swap(0, 1),
        4 if !tensor.dims.is_empty() => {
            // One more or fewer along one axis, with values to match.
            let at = random.random_range(0..tensor.dims.len());
            tensor.dims[at] =
                if random.random() { random.random_range(0..5) } else { number(random) };
            resize(tensor);
        }
        5 => tensor.dims.insert(0, 1),
        _ if integers => {
            let mut values: Vec<i64> = if tensor.raw_data.is_empty() {
                std::mem::take(&mut tensor.int64_data)
            } else {
                tensor.raw_data.as_chunks().0.iter().map(|&v| i64::from_le_bytes(v)).collect()
            };
            if !values.is_empty() {
                let at = random.random_range(0..values.len());
                values[at] = number(random);
            }
            tensor.raw_data.clear();
            tensor.int64_data = values;
        }
        _ if tensor.raw_data.len() >= 4 => {
            let at = random.random_range(0..tensor.raw_data.len() / 4) * 4;
            tensor.raw_data[at..at + 4].copy_from_slice(&pick(&FLOATS, random).to_le_bytes());
        }
        _ => (),
    }
}

/// Repeats or drops values until there are as many as the shape says.
fn resize(tensor: &mut pb::TensorProto) {
    let elements = tensor.dims.iter().try_fold(1usize, |product, &dim| {
        product.checked_mul(usize::try_from(dim).ok()?).filter(|&product| product < 1 << 16)
    });
    let Some(elements) = elements else { return };
    let width = match DataType::try_from(tensor.data_type) {
        Ok(DataType::Float | DataType::Int32) => 4,
        Ok(DataType::Int64 | DataType::Double) => 8,
        Ok(DataType::Float16) => 2,
        _ => 1,
    };
    let old = std::mem::take(&mut tensor.raw_data);
    if !old.is_empty() {
        tensor.raw_data = old.iter().copied().cycle().take(elements * width).collect();
    }
    tensor.int64_data.resize(tensor.int64_data.len().min(elements), 1);
}

/// Changes the shape that the image is declared to have.
fn change_input(graph: &mut pb::GraphProto, random: &mut ChaCha8Rng) {
    for input in &mut graph.input {
        let Some(pb::type_proto::Value::TensorType(tensor)) =
            input.r#type.as_mut().and_then(|declared| declared.value.as_mut())
        else {
            continue;
        };
        if random.random_ratio(1, 6) {
            tensor.elem_type = pick(&DTYPES, random) as i32;
        }
        for dim in tensor.shape.iter_mut().flat_map(|shape| &mut shape.dim) {
            if random.random_ratio(1, 3) {
                dim.value = Some(Dim::DimValue(number(random)));
            }
        }
    }
}

/// Moves an operator into a branch of an If, as scripted modules have them.
fn wrap(graph: &mut pb::GraphProto, random: &mut ChaCha8Rng) {
    let count = graph.node.len();
    if count == 0 {
        return;
    }
    let at = random.random_range(0..count);
    let inner = graph.node[at].clone();
    let output = inner
        .output
        .iter()
        .map(|name| pb::ValueInfoProto { name: name.clone(), ..Default::default() });
    let branch = pb::GraphProto {
        name: "branch".into(),
        output: output.collect(),
        node: vec![inner.clone()],
        ..Default::default()
    };
    let condition = format!("fuzz{count}");
    graph.initializer.push(pb::TensorProto {
        name: condition.clone(),
        data_type: DataType::Bool as i32,
        raw_data: vec![u8::from(random.random::<bool>())],
        ..Default::default()
    });
    let branch_attribute = |name: &str| pb::AttributeProto {
        name: name.into(),
        r#type: AttributeType::Graph as i32,
        g: Some(branch.clone()),
        ..Default::default()
    };
    graph.node[at] = pb::NodeProto {
        op_type: "If".into(),
        input: vec![condition],
        output: inner.output,
        attribute: vec![branch_attribute("then_branch"), branch_attribute("else_branch")],
        ..Default::default()
    };
}
