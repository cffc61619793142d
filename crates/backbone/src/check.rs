//! What a stranger's model may ask of the engine.
//!
//! The engine trusts a model: attributes that don't fit a tensor's rank make it panic, which ends
//! a WebAssembly instance, and some make it read out of bounds, hang, or compute something else.
//! So every operator goes through a table of what it may look like, and a rule that infers its
//! outputs' shapes, before the engine sees any of it. What isn't on the list is refused by name.
//!
//! Checked operators are written in one form, whatever operator set the model uses: operator set
//! 17, axes counted from the front, automatic padding in numbers. Shapes that exporters traced are
//! computed here and become constants. Operators that the engine computes wrongly are replaced by
//! others (`docs/upstream.md`).

mod attributes;
mod branch;
mod call;
mod computed;
mod elementwise;
mod fold;
mod grid;
mod index;
mod matrix;
mod memory;
mod normalisation;
mod operator;
mod quantisation;
mod range;
mod reduction;
mod resize;
mod shape;
mod table;
mod value;
mod window;

use std::collections::{HashMap, HashSet, VecDeque};

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use self::call::{Call, Outcome};
use self::computed::Computed;
use self::grid::Grid;
use self::operator::{MANY, Operator};
pub(crate) use self::range::MAX_WATCHED;
pub(crate) use self::table::CANONICAL_OPSET;
use self::table::OPSETS;
pub(crate) use self::value::Value;
use crate::error::{Error, Result};
use crate::graph::{self, Names, describe, elements};
use crate::options::Limits;

/// The most operators; the largest classifiers have some thousands.
const MAX_OPERATORS: usize = 50_000;
/// The operator set of operators that rules write.
const OWN_OPSET: i64 = 1000;

/// What is known of each value of a graph, by name.
pub(crate) type Values = HashMap<String, Value>;

/// Checks the whole graph for one image, writes it as the engine understands it, and returns what is
/// known of its values. If no number in the image and in the outputs behind the first exceeds
/// [`MAX_WATCHED`] in magnitude, then the network computed no NaN or infinity.
pub(crate) fn check(
    proto: &mut pb::ModelProto,
    input_shape: [usize; 4],
    limits: Limits,
) -> Result<Values> {
    fold::start();
    let opset = supported_opset(proto)?;
    let Some(graph) = &mut proto.graph else {
        return Err(Error::model("the file holds no graph"));
    };
    let mut checker = Checker::new(graph);
    for input in &graph.input {
        checker.define(input.name.clone(), Value::new(DataType::Float, input_shape));
    }
    checker.run(std::mem::take(&mut graph.node), opset, true)?;
    let values = checker.finish(graph);
    for name in range::watched(graph, &values) {
        graph.output.push(pb::ValueInfoProto { name, ..Default::default() });
    }
    memory::check(&graph.node, &values, &graph.output, limits)?;
    proto.opset_import =
        vec![pb::OperatorSetIdProto { domain: String::new(), version: CANONICAL_OPSET }];
    Ok(values)
}

/// Checks a graph of stored numbers alone, whose results the engine computes once.
pub(crate) fn check_weights(proto: &mut pb::ModelProto, limits: Limits) -> Result<()> {
    fold::start();
    check(proto, [1; 4], limits).map(drop)
}

/// Refuses operators that other domains define: what follows goes by names alone.
pub(crate) fn check_domains(proto: &pb::ModelProto) -> Result<()> {
    let is_custom = |node: &&pb::NodeProto| {
        !matches!(node.domain.as_str(), "" | "ai.onnx" | "ai.onnx.ml")
            && node.domain != "com.microsoft"
            && !node.domain.starts_with("com.microsoft.")
            && !node.domain.starts_with("com.ms.")
    };
    let mut nodes = proto.graph.iter().flat_map(|graph| &graph.node);
    match nodes.find(is_custom) {
        Some(node) => Err(refused(node)),
        None => Ok(()),
    }
}

/// Checks the operators that only constants go through: the head's weights are computed before
/// the rest is checked.
pub(crate) fn check_constants(proto: &pb::ModelProto) -> Result<()> {
    fold::start();
    let opset = supported_opset(proto)?;
    let Some(graph) = &proto.graph else {
        return Err(Error::model("the file holds no graph"));
    };
    let mut known: HashSet<&str> =
        graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    let mut constants = Vec::new();
    let mut checker = Checker::new(graph);
    for node in &graph.node {
        // Weights stored this way may be large: they are not copied.
        if let ("Constant", [output], [attribute]) =
            (node.op_type.as_str(), node.output.as_slice(), node.attribute.as_slice())
            && let Some(tensor) = &attribute.t
        {
            known.insert(output);
            checker.define(output.clone(), Value::stored(tensor));
            continue;
        }
        let is_known = |name: &String| name.is_empty() || known.contains(name.as_str());
        let listed = table::find(&node.domain, &node.op_type).is_some();
        if listed && node.input.iter().all(is_known) {
            known.extend(node.output.iter().map(String::as_str));
            constants.push(node.clone());
        }
    }
    checker.run(constants, opset, false)
}

/// The version of ONNX's own operators that a model uses, if it can be understood.
fn supported_opset(proto: &pb::ModelProto) -> Result<i64> {
    let opset = graph::opset(proto);
    if OPSETS.contains(&opset) {
        return Ok(opset);
    }
    Err(Error::model(format!(
        "the model uses ONNX operator set {opset}; {} to {} are supported, so export it with \
         opset_version 17",
        OPSETS.start(),
        OPSETS.end()
    )))
}

/// Says that an operator isn't on the list.
fn refused(node: &pb::NodeProto) -> Error {
    let domain = match node.domain.as_str() {
        "" | "ai.onnx" => String::new(),
        domain => format!(" of the domain `{domain}`"),
    };
    Error::model(format!(
        "operator {}{domain} isn't supported; {}",
        describe(node),
        table::advice(&node.domain, &node.op_type)
    ))
}

/// An operator that waits to be checked.
struct Waiting {
    node: pb::NodeProto,
    opset: i64,
}

/// The graph as far as it has been checked.
struct Checker {
    values: Values,
    names: Names,
    nodes: Vec<pb::NodeProto>,
    tensors: Vec<pb::TensorProto>,
    /// Constants that only need a tensor where an operator that stays reads them.
    folded: HashSet<String>,
    node_names: HashSet<String>,
}

impl Checker {
    fn new(graph: &pb::GraphProto) -> Self {
        let mut checker = Self {
            values: HashMap::new(),
            names: Names::of(graph),
            nodes: Vec::new(),
            tensors: Vec::new(),
            folded: HashSet::new(),
            node_names: HashSet::new(),
        };
        for tensor in &graph.initializer {
            checker.define(tensor.name.clone(), Value::stored(tensor));
        }
        checker
    }

    fn define(&mut self, name: String, value: Value) {
        self.names.taken.insert(name.clone());
        self.values.insert(name, value);
    }

    fn run(&mut self, nodes: Vec<pb::NodeProto>, opset: i64, store: bool) -> Result<()> {
        let mut queue: VecDeque<Waiting> =
            nodes.into_iter().map(|node| Waiting { node, opset }).collect();
        let mut count = 0;
        let mut computed = Computed::default();
        while let Some(Waiting { node, opset }) = queue.pop_front() {
            count += 1;
            if count > MAX_OPERATORS {
                return Err(Error::model(format!(
                    "the model has more than {MAX_OPERATORS} operators; the file is damaged"
                )));
            }
            if node.op_type == "If" && matches!(node.domain.as_str(), "" | "ai.onnx") {
                for node in self.inline_if(node)?.into_iter().rev() {
                    queue.push_front(Waiting { node, opset });
                }
                continue;
            }
            let Some(operator) = table::find(&node.domain, &node.op_type) else {
                return Err(refused(&node));
            };
            let mut call = self.call(node, opset, operator)?;
            let key = if store { computed::key(&call.node, opset, &call.inputs) } else { None };
            if let Some(values) = key.as_ref().and_then(|key| computed.get(key)) {
                let node = call.node;
                self.keep(node, values.to_vec(), true, store)?;
                continue;
            }
            let outcome = (operator.rule)(&mut call)?;
            let Call { node, tensors, inputs, .. } = call;
            for (tensor, value) in tensors {
                self.values.insert(tensor.name.clone(), value);
                self.tensors.push(tensor);
            }
            match outcome {
                Outcome::Keep(values) => {
                    let constant = inputs.iter().flatten().all(|input| input.constant);
                    let reshaped = |value: &Value| match node.op_type.as_str() {
                        "Conv" | "ConvTranspose" | "MaxPool" | "AveragePool" => false,
                        "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" => true,
                        "Concat" => inputs.iter().flatten().any(|input| input.reshaped),
                        // What is broadcast doesn't count.
                        _ => inputs.iter().flatten().any(|i| i.reshaped && i.len() >= value.len()),
                    };
                    let values: Vec<Value> = values
                        .into_iter()
                        .map(|value| Value { reshaped: reshaped(&value), ..value })
                        .map(|value| value.with_grid(&node, &inputs))
                        .collect();
                    if let Some(key) = key
                        && values.iter().all(is_folded)
                    {
                        computed.insert(key, inputs, values.clone());
                    }
                    self.keep(node, values, constant, store)?;
                }
                Outcome::Replace(nodes) => {
                    for node in nodes.into_iter().rev() {
                        queue.push_front(Waiting { node, opset: OWN_OPSET });
                    }
                }
            }
        }
        Ok(())
    }

    /// Compares an operator with its row of the table.
    fn call(&mut self, node: pb::NodeProto, opset: i64, operator: &Operator) -> Result<Call<'_>> {
        let inputs: Vec<Option<Value>> = node
            .input
            .iter()
            .map(|name| match (name.as_str(), self.values.get(name)) {
                ("", _) => Ok(None),
                (_, Some(value)) if Grid::suffices(&node, value) => Ok(Some(value.clone())),
                (_, Some(value)) => Ok(Some(value.clone().with_elements())),
                (_, None) => Err(Error::model(format!(
                    "operator {} reads `{name}`, which nothing produces",
                    describe(&node)
                ))),
            })
            .collect::<Result<_>>()?;
        let call = Call { node, opset, inputs, names: &mut self.names, tensors: Vec::new() };
        let (least, greatest) = operator.inputs;
        let count = call.inputs.len();
        // All inputs up to the last that must be there have values, and all of a list.
        let must = if greatest == MANY { count } else { least };
        let missing = (0..must).any(|index| call.optional(index).is_none());
        if missing && count >= least {
            return Err(call.wrong("lacks an input that it needs"));
        }
        if !(least..=greatest).contains(&count) {
            return Err(call.wrong(format!("has {count} inputs; {}", expected(operator.inputs))));
        }
        let outputs = call.node.output.len();
        if !(operator.outputs.0..=operator.outputs.1).contains(&outputs)
            || call.node.output.first().is_none_or(String::is_empty)
        {
            return Err(
                call.wrong(format!("has {outputs} outputs; {}", expected(operator.outputs)))
            );
        }
        if opset < operator.since {
            return Err(call.wrong(format!(
                "belongs to operator set {}, but the model uses {opset}",
                operator.since
            )));
        }
        if opset > operator.until {
            return Err(call.wrong(format!(
                "left ONNX after operator set {}, but the model uses {opset}",
                operator.until
            )));
        }
        let mut seen = HashSet::new();
        for attribute in &call.node.attribute {
            let name = attribute.name.as_str();
            let Some(allowed) = operator.attributes.iter().find(|a| a.name == name) else {
                return Err(
                    call.wrong(format!("has the attribute `{name}`, which it doesn't know"))
                );
            };
            if !seen.insert(name) {
                return Err(call.wrong(format!("has the attribute `{name}` twice")));
            }
            if let Some(problem) = allowed.kind.problem(attribute) {
                return Err(call.wrong(format!("has an attribute `{name}` that {problem}")));
            }
        }
        if !operator.takes_empty && call.inputs.iter().flatten().any(|input| input.len() == 0) {
            return Err(call.wrong("reads a tensor without elements"));
        }
        Ok(call)
    }

    /// Keeps an operator, or only its outputs where they are short constants.
    fn keep(
        &mut self,
        mut node: pb::NodeProto,
        values: Vec<Value>,
        constant: bool,
        store: bool,
    ) -> Result<()> {
        let outputs = node.output.clone();
        if values.len() < outputs.len() {
            return Err(Error::model(format!(
                "operator {} has more outputs than it can have",
                describe(&node)
            )));
        }
        let folded = store && values.iter().all(is_folded);
        for (name, mut value) in outputs.into_iter().zip(values) {
            value.constant = constant || value.data.is_some();
            self.check_size(&node, &value)?;
            if folded {
                self.folded.insert(name.clone());
            }
            self.define(name, value);
        }
        if !folded {
            for name in &node.input {
                self.store_folded(name);
            }
            self.name_node(&mut node);
            node.domain.clear();
            self.nodes.push(node);
        }
        Ok(())
    }

    /// Makes a constant that an operator reads, or the caller, a tensor of the graph.
    fn store_folded(&mut self, name: &str) {
        if self.folded.remove(name)
            && let Some(value) = self.values.get(name)
        {
            self.tensors.extend(value::tensor(name.to_owned(), value));
        }
    }

    /// Refuses tensors that nothing could be computed with.
    fn check_size(&self, node: &pb::NodeProto, value: &Value) -> Result<()> {
        let elements = elements(&value.shape);
        let too_large = elements.is_none_or(|elements| elements > crate::onnx::MAX_ELEMENTS);
        if too_large || value.rank() > attributes::MAX_RANK as usize {
            return Err(Error::model(format!(
                "operator {} yields the shape {:?}, which is too large",
                describe(node),
                value.shape
            )));
        }
        if elements == Some(0) && value.data.is_none() {
            return Err(Error::model(format!(
                "operator {} yields the shape {:?}, which has no elements; the file is damaged or \
                 made for larger images",
                describe(node),
                value.shape
            )));
        }
        Ok(())
    }

    /// The engine wants each operator's name once.
    fn name_node(&mut self, node: &mut pb::NodeProto) {
        if node.name.is_empty() {
            node.name = node.output.first().cloned().unwrap_or_default();
        }
        if !self.node_names.insert(node.name.clone()) {
            node.name = self.names.fresh(&format!("{}.operator", node.name));
            self.node_names.insert(node.name.clone());
        }
    }

    /// Puts the checked operators into the graph, with the constants that they read.
    fn finish(mut self, graph: &mut pb::GraphProto) -> Values {
        for output in &graph.output {
            self.store_folded(&output.name);
        }
        graph.node = self.nodes;
        graph.initializer.extend(self.tensors);
        let mut read: HashSet<String> =
            graph.output.iter().map(|output| output.name.clone()).collect();
        let mut kept = Vec::with_capacity(graph.node.len());
        for node in graph.node.drain(..).rev() {
            // What stands behind it comes later, so whether anything reads it is known.
            if node.output.iter().any(|output| read.contains(output)) {
                // An input that is left out has the empty name.
                read.extend(node.input.iter().filter(|input| !input.is_empty()).cloned());
                kept.push(node);
            }
        }
        kept.reverse();
        graph.node = kept;
        graph.initializer.retain(|tensor| read.contains(&tensor.name));
        self.values
    }
}

/// Whether a value is a constant that takes its operator's place.
fn is_folded(value: &Value) -> bool {
    value.data.as_ref().is_some_and(|data| data.len() <= fold::MAX_LONG)
}

fn expected((least, greatest): (usize, usize)) -> String {
    match (least, greatest) {
        (least, MANY) => format!("at least {least} are needed"),
        (least, greatest) if least == greatest => format!("{least} are needed"),
        _ => format!("{least} to {greatest} are needed"),
    }
}
