//! The network in front of the last linear layer, run by tract.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ndarray::{Array1, ArrayView4};
use serde::Serialize;
use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::prelude::{
    DatumExt, Framework, IntoRunnable, IntoTensor, TValue, Tensor, TractError, TypedModel,
    TypedSimplePlan, tvec,
};
use tract_onnx::tract_hir::infer::InferenceModelExt;

use crate::check::{self, Limits};
use crate::error::{Error, Result};
use crate::linear::Linear;
use crate::operators::OwnOperator;
use crate::{classifier, lanes, onnx, rewrite};

/// The largest input side and the most input channels.
const MAX_SIDE: usize = 1 << 14;
/// The most elements of an input: a picture of 4096 x 4096 in colour, and a bit.
const MAX_INPUT: usize = 1 << 26;

/// An ONNX classifier without its last linear layer: a picture in, its features out.
///
/// The batch size is fixed to 1, because tract can fuse operators only when all shapes are known
/// (`docs/performance.md`). Many threads can share one backbone.
#[derive(Debug, Clone)]
pub struct Backbone {
    plan: Arc<TypedSimplePlan>,
    input_shape: [usize; 4],
    num_features: usize,
    feature_node: String,
    report: BackboneReport,
}

/// How many operators run in which way, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BackboneReport {
    /// This crate's own operators.
    pub own: BTreeMap<String, usize>,
    /// tract's operators.
    pub tract: BTreeMap<String, usize>,
}

impl BackboneReport {
    /// Number of operators of this crate.
    pub fn num_own(&self) -> usize {
        self.own.values().sum()
    }

    /// Number of operators of tract.
    pub fn num_tract(&self) -> usize {
        self.tract.values().sum()
    }
}

/// Whose convolutions to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operators {
    /// This crate's, with batch normalisation and activation fused in: at least twice as fast as
    /// tract's in WebAssembly and on x86-64 processors with AVX2.
    Own,
    /// tract's, which have hand-written kernels for other native targets, too.
    Tract,
}

impl Default for Operators {
    /// The faster ones on the target that this was built for.
    fn default() -> Self {
        if lanes::Width::are_fast() { Self::Own } else { Self::Tract }
    }
}

impl Backbone {
    /// Reads an ONNX classifier and splits it in front of its last linear layer.
    ///
    /// The last layer is found by itself: a Gemm, a MatMul with or without a bias added, or a 1x1
    /// convolution next to the global average pooling. A Softmax and the like behind it are left
    /// out. With several outputs, one named like logits is preferred.
    ///
    /// The model has one input `[N, C, H, W]` (or `[N, H, W, C]` with 1, 3 or 4 channels). Height
    /// and width come from the model; where they are symbolic, from `input_size`, as
    /// (height, width).
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the bytes are no ONNX model, if it can't
    /// be run, if it has no linear last layer, or if its height or width is symbolic and
    /// `input_size` is `None`; [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if
    /// `input_size` isn't the size that the model is made for.
    pub fn from_onnx(model: &[u8], input_size: Option<(usize, usize)>) -> Result<(Self, Linear)> {
        Self::with_operators(model, input_size, Operators::default())
    }

    /// Like [`Backbone::from_onnx`], with a choice of convolutions; for measurements and tests.
    ///
    /// # Errors
    /// As [`Backbone::from_onnx`].
    pub fn with_operators(
        model: &[u8],
        input_size: Option<(usize, usize)>,
        operators: Operators,
    ) -> Result<(Self, Linear)> {
        Self::with_limits(model, input_size, operators, Limits::default())
    }

    /// Like [`Backbone::with_operators`], with limits for memory and work.
    ///
    /// # Errors
    /// As [`Backbone::from_onnx`].
    pub fn with_limits(
        model: &[u8],
        input_size: Option<(usize, usize)>,
        operators: Operators,
        limits: Limits,
    ) -> Result<(Self, Linear)> {
        guarded(|| {
            let mut proto = onnx::read(model)?;
            check::check_constants(&proto)?;
            let classifier = classifier::find(&proto)?;
            classifier::cut(&mut proto, &classifier);
            let backbone = Self::build(proto, &classifier, input_size, operators, limits)?;
            Ok((backbone, classifier.head))
        })
        .unwrap_or_else(|panic| {
            Err(Error::model(format!(
                "the engine failed while loading the model; the file is damaged or uses an \
                 operator in a way that isn't supported: {panic}"
            )))
        })
    }

    fn build(
        mut proto: pb::ModelProto,
        classifier: &classifier::Classifier,
        input_size: Option<(usize, usize)>,
        operators: Operators,
        limits: Limits,
    ) -> Result<Self> {
        let Some(graph) = &mut proto.graph else {
            return Err(Error::model("the file holds no graph"));
        };
        let input_shape = fix_input(graph, input_size)?;
        onnx::check_built(graph)?;
        check::check(&mut proto, input_shape, limits)?;
        let mut typed = translate(&proto, input_shape).map_err(|error| {
            Error::model(format!(
                "the model can't be run on one picture of shape {input_shape:?}: {error:#}"
            ))
        })?;
        drop(proto);
        check_facts(&typed)?;
        let prepare = || {
            if operators == Operators::Own {
                rewrite::rewrite(&mut typed, &lanes::Width::available())?;
            }
            typed.into_optimized()?.into_runnable()
        };
        let plan = prepare().map_err(|error: TractError| {
            Error::model(format!("the model can't be prepared for running: {error:#}"))
        })?;
        check_facts(plan.model())?;
        let num_features = classifier.head.weights.ncols();
        check_features(&plan, num_features)?;
        let report = report(plan.model());
        let feature_node = classifier.features.clone();
        Ok(Self { plan, input_shape, num_features, feature_node, report })
    }

    /// The features of one normalised picture, `[D]`: what the last linear layer reads.
    ///
    /// # Errors
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) if the input's shape isn't
    /// [`Backbone::input_shape`], or if the input or the features hold NaN or infinite values.
    pub fn features(&self, input: ArrayView4<f32>) -> Result<Array1<f32>> {
        if input.shape() != self.input_shape {
            return Err(Error::features(format!(
                "the network's input has shape {:?}, but {:?} was given",
                self.input_shape,
                input.shape()
            )));
        }
        // A slice, because an array's own iterator took a millisecond for 224 x 224 pixels.
        let input = input.as_standard_layout();
        let values = input.as_slice().unwrap_or_default();
        // The network's maxima may swallow a NaN, so the features alone would not tell.
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return Err(Error::features(format!(
                "the normalised picture has the value {value}; check mean and standard deviation"
            )));
        }
        let (features, finite) = self.run(values)?;
        match features.indexed_iter().find(|(_, value)| !value.is_finite()) {
            None if finite => Ok(features),
            None => Err(Error::features(
                "the network computes NaN or infinity on its way to the features; check how \
                 pictures are normalised (mean and standard deviation), and the model's weights",
            )),
            Some((index, value)) => Err(Error::features(format!(
                "the network's feature {index} is {value}; check how pictures are normalised \
                 (mean and standard deviation), and the model's weights"
            ))),
        }
    }

    /// The features, and whether all of the network's other outputs are finite.
    fn run(&self, input: &[f32]) -> Result<(Array1<f32>, bool)> {
        let failed = |error: String| {
            Error::model(format!("the network failed on a picture of the right shape: {error}"))
        };
        let run = || {
            let input = Tensor::from_shape(&self.input_shape, input)?;
            let mut outputs = self.plan.run(tvec!(TValue::from(input)))?;
            let features = outputs.remove(0).into_tensor().cast_to::<f32>()?.into_owned();
            let mut finite = true;
            for sum in outputs {
                finite &= sum.to_plain_array_view::<f32>()?.iter().all(|sum| sum.is_finite());
            }
            Ok((features.to_plain_array_view::<f32>()?.iter().copied().collect(), finite))
        };
        guarded(run).map_err(failed)?.map_err(|error: TractError| failed(format!("{error:#}")))
    }

    /// The input's shape, `[1, channels, height, width]`.
    pub fn input_shape(&self) -> [usize; 4] {
        self.input_shape
    }

    /// Number of features, D.
    pub fn num_features(&self) -> usize {
        self.num_features
    }

    /// The name that the ONNX model gives to the features.
    pub fn feature_node(&self) -> &str {
        &self.feature_node
    }

    /// How many operators run in which way; the same for every picture.
    pub fn report(&self) -> &BackboneReport {
        &self.report
    }
}

/// Runs something that may panic in spite of all checks. WebAssembly can't catch a panic; there
/// the instance ends.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
    })
}

/// Makes the graph's one input a single picture `[1, C, H, W]` of `f32`, and returns its shape.
fn fix_input(graph: &mut pb::GraphProto, input_size: Option<(usize, usize)>) -> Result<[usize; 4]> {
    let [input] = graph.input.as_slice() else {
        let names: Vec<_> = graph.input.iter().map(|input| input.name.as_str()).collect();
        return Err(Error::model(format!(
            "the features depend on {} inputs {names:?}; exactly one, the picture, is supported",
            names.len()
        )));
    };
    let name = input.name.clone();
    let Some(pb::type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|declared| declared.value.as_ref())
    else {
        return Err(Error::model(format!("the model's input `{name}` has no tensor type")));
    };
    let data_type = DataType::try_from(tensor.elem_type).unwrap_or(DataType::Undefined);
    if !matches!(data_type, DataType::Float | DataType::Float16 | DataType::Double) {
        return Err(Error::model(format!(
            "the model's input `{name}` has the type {}; export the model with a float32 input",
            data_type.as_str_name()
        )));
    }
    let dims: Vec<Option<i64>> = tensor
        .shape
        .iter()
        .flat_map(|shape| &shape.dim)
        .map(|dim| match dim.value {
            Some(Dim::DimValue(value)) if value != 0 => Some(value),
            _ => None,
        })
        .collect();
    let &[_, second, third, last] = dims.as_slice() else {
        return Err(Error::model(format!(
            "the model's input `{name}` has {} dimensions; pictures need 4: [batch, channels, \
             height, width]",
            dims.len()
        )));
    };
    let is_channels = |dim| matches!(dim, Some(1 | 3 | 4));
    let channels_last = is_channels(last) && !is_channels(second);
    let (channels, height, width) =
        if channels_last { (last, second, third) } else { (second, third, last) };
    let channels = channels.or_else(|| channels_by_weights(graph, &name)).ok_or_else(|| {
        Error::model(format!(
            "the number of channels of the model's input `{name}` isn't known; export the model \
             with a fixed number"
        ))
    })?;
    let (height, width) = size(height, width, input_size)?;
    let shape = [
        1,
        usize::try_from(channels).unwrap_or(0),
        usize::try_from(height).unwrap_or(0),
        usize::try_from(width).unwrap_or(0),
    ];
    let elements = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
    if shape.iter().any(|&dim| !(1..=MAX_SIDE).contains(&dim))
        || elements.is_none_or(|elements| elements > MAX_INPUT)
    {
        return Err(Error::model(format!(
            "the model's input `{name}` has the impossible size of {channels} channels, {height} \
             by {width}"
        )));
    }
    convert_input(graph, data_type, channels_last);
    Ok(shape)
}

/// Height and width: the model's own, or else what the caller asks for.
fn size(
    height: Option<i64>,
    width: Option<i64>,
    asked: Option<(usize, usize)>,
) -> Result<(i64, i64)> {
    let Some(asked) = asked else {
        return height.zip(width).ok_or_else(|| {
            Error::model(
                "the model takes pictures of any size; say which height and width to use (the \
                 size that pictures are cropped to)",
            )
        });
    };
    let asked = (i64::try_from(asked.0).unwrap_or(0), i64::try_from(asked.1).unwrap_or(0));
    if height.is_some_and(|height| height != asked.0) || width.is_some_and(|w| w != asked.1) {
        let side = |side: Option<i64>| side.map_or("any".to_owned(), |side| side.to_string());
        return Err(Error::mismatch(format!(
            "the model takes pictures of {} by {} (height by width), but {} by {} was asked for; \
             change the crop",
            side(height),
            side(width),
            asked.0,
            asked.1
        )));
    }
    Ok(asked)
}

/// The channels that the first convolution reads.
fn channels_by_weights(graph: &pb::GraphProto, input: &str) -> Option<i64> {
    let conv = graph
        .node
        .iter()
        .find(|node| node.op_type == "Conv" && node.input.first().is_some_and(|i| i == input))?;
    let weights =
        graph.initializer.iter().find(|tensor| Some(&tensor.name) == conv.input.get(1))?;
    let group = conv.attribute.iter().find(|attribute| attribute.name == "group");
    weights.dims.get(1)?.checked_mul(group.map_or(1, |group| group.i))
}

/// Puts a type or layout conversion between the `f32` picture and the model's own input.
fn convert_input(graph: &mut pb::GraphProto, data_type: DataType, channels_last: bool) {
    let mut convert = |op_type: &str, attribute: pb::AttributeProto| {
        let source = format!("{}.{op_type}", graph.input[0].name);
        let output = std::mem::replace(&mut graph.input[0].name, source.clone());
        let node = pb::NodeProto {
            op_type: op_type.into(),
            name: format!("{source}.operator"),
            input: vec![source],
            output: vec![output],
            attribute: vec![attribute],
            ..Default::default()
        };
        graph.node.insert(0, node);
    };
    use pb::attribute_proto::AttributeType;
    if channels_last {
        convert(
            "Transpose",
            pb::AttributeProto {
                name: "perm".into(),
                r#type: AttributeType::Ints as i32,
                ints: vec![0, 2, 3, 1],
                ..Default::default()
            },
        );
    }
    if data_type != DataType::Float {
        convert(
            "Cast",
            pb::AttributeProto {
                name: "to".into(),
                r#type: AttributeType::Int as i32,
                i: data_type as i64,
                ..Default::default()
            },
        );
    }
}

fn translate(proto: &pb::ModelProto, input_shape: [usize; 4]) -> Result<TypedModel, TractError> {
    let mut model = tract_onnx::onnx().with_ignore_value_info(true).model_for_proto_model(proto)?;
    model.set_input_fact(0, f32::fact(input_shape).into())?;
    model.into_typed()
}

/// Refuses shapes that are unknown or too large to be computed.
fn check_facts(model: &TypedModel) -> Result<()> {
    for node in model.nodes() {
        for output in &node.outputs {
            let Some(shape) = output.fact.shape.as_concrete() else {
                return Err(Error::model(format!(
                    "the shape {:?} of operator `{}` ({}) isn't known when the model is loaded; \
                     export the model with a fixed picture size",
                    output.fact.shape,
                    node.name,
                    node.op.name()
                )));
            };
            let elements = shape.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim));
            if elements.is_none_or(|elements| elements > onnx::MAX_ELEMENTS) {
                return Err(Error::model(format!(
                    "operator `{}` ({}) yields the shape {shape:?}, which is too large",
                    node.name,
                    node.op.name()
                )));
            }
        }
    }
    Ok(())
}

fn check_features(plan: &TypedSimplePlan, num_features: usize) -> Result<()> {
    let fact = plan
        .model()
        .output_fact(0)
        .map_err(|error| Error::model(format!("the model yields no features: {error:#}")))?;
    let shape = fact.shape.as_concrete().unwrap_or(&[]);
    if shape.iter().product::<usize>() != num_features {
        return Err(Error::model(format!(
            "the last linear layer has weights for {num_features} features, but one picture gives \
             features of shape {shape:?}; a layer that is applied to many positions isn't \
             supported"
        )));
    }
    Ok(())
}

fn report(model: &TypedModel) -> BackboneReport {
    let mut report = BackboneReport::default();
    for node in model.nodes() {
        let name = node.op.name().into_owned();
        let own = node.op_is::<OwnOperator>();
        if !matches!(name.as_str(), "Const" | "Source") {
            let counts = if own { &mut report.own } else { &mut report.tract };
            *counts.entry(name).or_default() += 1;
        }
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_symbol_is_left_in_a_plan_of_a_model_with_a_symbolic_batch() {
        let model = include_bytes!("../../../tests/models/gemm.onnx");
        let proto = onnx::read(model).unwrap();
        let batch = proto.graph.unwrap().input[0].clone().r#type.unwrap().value.unwrap();
        let pb::type_proto::Value::TensorType(batch) = batch;
        let batch = batch.shape.unwrap().dim[0].value.clone();
        assert!(matches!(batch, Some(Dim::DimParam(_))), "{batch:?}");

        let (backbone, _) = Backbone::from_onnx(model, None).unwrap();
        for node in backbone.plan.model().nodes() {
            for output in &node.outputs {
                assert!(output.fact.shape.is_concrete(), "{node}");
            }
        }
        assert_eq!(backbone.plan.model().input_fact(0).unwrap().shape.as_concrete().unwrap()[0], 1);
    }

    #[test]
    fn a_backbone_can_be_shared_by_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Backbone>();
    }
}
