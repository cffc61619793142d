//! The network in front of the last linear layer, run by tract.

mod input;
mod translate;
mod watch;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ndarray::{Array1, ArrayView4, Axis};
use serde::Serialize;
use tract_onnx::pb;
use tract_onnx::prelude::{
    IntoRunnable, TValue, Tensor, TractError, TypedModel, TypedSimplePlan, tvec,
};

use crate::check::{self, MAX_WATCHED};
use crate::error::{Error, Result};
use crate::head::{End, Features, Head, Opaque};
use crate::linear::{LastLayer, Linear, OpaqueLayer};
use crate::options::{Kernels, LoadOptions};
use crate::profile::OperatorTime;
use crate::{fusion, graph, head, lower, onnx, places, profile};
use itp_ood_kernels::CustomOp;
use itp_ood_kernels::Width;

/// An ONNX classifier without its last linear layer (the head): it maps an image to its
/// penultimate-layer features.
///
/// The batch size is fixed to 1, because tract can fuse operators only when all shapes are known
/// (`docs/performance.md`). Many threads can share one backbone.
#[derive(Debug, Clone)]
pub struct Backbone {
    plan: Arc<TypedSimplePlan>,
    input_shape: [usize; 4],
    takes_bytes: bool,
    num_features: usize,
    /// What the plan's first outputs are, one behind the other.
    parts: Vec<FeaturePart>,
    feature_node: String,
    output: String,
    is_multi_label: bool,
    report: BackboneReport,
    /// The outputs whose magnitude is looked at after each run.
    watched: Vec<usize>,
}

/// What is taken of an output.
#[derive(Debug, Clone, Copy)]
enum FeaturePart {
    /// All of it.
    Whole,
    /// Means over all positions; the axis is that of the features.
    Means(usize),
}

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

impl Backbone {
    /// Reads an ONNX classifier and splits it in front of its last linear layer.
    ///
    /// The last layer is detected: a Gemm, a MatMul with or without a bias, or a 1x1 convolution
    /// next to the global average pooling. A Softmax or similar behind it is dropped. Of several
    /// outputs, one named like logits is preferred.
    ///
    /// The model has one input `[N, C, H, W]` (or `[N, H, W, C]` with 1, 3 or 4 channels). Height
    /// and width come from the model or, where they are symbolic, from `input_size`
    /// (height, width).
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the bytes aren't an ONNX model, or if the
    /// model can't be run, has no linear last layer, or has a symbolic height or width while
    /// `input_size` is `None`; [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if
    /// `input_size` isn't the model's size.
    pub fn from_onnx(model: &[u8], input_size: Option<(usize, usize)>) -> Result<(Self, Linear)> {
        Self::from_onnx_with(model, &LoadOptions { input_size, ..LoadOptions::default() })
    }

    /// As [`Backbone::from_onnx`], with a choice of kernels; for benchmarks and tests.
    ///
    /// # Errors
    /// As [`Backbone::from_onnx`].
    pub fn with_kernels(
        model: &[u8],
        input_size: Option<(usize, usize)>,
        kernels: Kernels,
    ) -> Result<(Self, Linear)> {
        let options = LoadOptions { input_size, kernels, ..LoadOptions::default() };
        Self::from_onnx_with(model, &options)
    }

    /// As [`Backbone::from_onnx`], with what the model itself leaves open. A model that is given as
    /// a `Vec<u8>` is freed as soon as it has been decoded, which saves memory of its size.
    ///
    /// # Errors
    /// As [`Backbone::from_onnx`], and [`ErrorKind::Model`](crate::ErrorKind::Model) if there are
    /// several classifiers and [`LoadOptions::output`] doesn't say which one to use.
    pub fn from_onnx_with<'a>(
        model: impl Into<Cow<'a, [u8]>>,
        options: &LoadOptions,
    ) -> Result<(Self, Linear)> {
        match Self::read(model.into(), options, false)? {
            (backbone, LastLayer::Linear(linear)) => Ok((backbone, linear)),
            (_, LastLayer::Opaque(OpaqueLayer { reason, .. })) => Err(Error::model(reason)),
        }
    }

    /// Reads any ONNX classifier. Where its last layer isn't linear, the features end with the
    /// logits ([`OpaqueLayer`]).
    ///
    /// # Errors
    /// As [`Backbone::from_onnx_with`], but for models without a linear last layer: these are
    /// refused only if they yield no single row of logits.
    pub fn load<'a>(
        model: impl Into<Cow<'a, [u8]>>,
        options: &LoadOptions,
    ) -> Result<(Self, LastLayer)> {
        Self::read(model.into(), options, true)
    }

    fn read(
        model: Cow<[u8]>,
        options: &LoadOptions,
        allow_opaque: bool,
    ) -> Result<(Self, LastLayer)> {
        catch_panic(|| {
            let mut proto = onnx::read(&model, options.external_data, options.limits.memory)?;
            drop(model);
            check::check_domains(&proto)?;
            lower::lower(&mut proto, options.limits.memory)?;
            check::check_constants(&proto)?;
            let head = head::find(&proto, options.output, options.limits, allow_opaque)?;
            head::cut(&mut proto, &head);
            Self::build(proto, head, options)
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
        head: Head,
        options: &LoadOptions,
    ) -> Result<(Self, LastLayer)> {
        let Some(graph) = &mut proto.graph else {
            return Err(Error::model("the file holds no graph"));
        };
        let (input_shape, takes_bytes) = input::fix_input(graph, options)?;
        check::check(&mut proto, input_shape, options.limits)?;
        let mut typed = translate::translate(proto, input_shape).map_err(|error| {
            Error::model(format!(
                "the model can't be run on an image of shape {input_shape:?}: {error:#}"
            ))
        })?;
        check_facts(&typed)?;
        let prepare = || {
            places::replace(&mut typed)?;
            if options.kernels == Kernels::Custom {
                let widths = Width::available();
                fusion::fuse(&mut typed, &widths)?;
                typed.declutter()?;
                fusion::fuse_simplified(&mut typed, &widths)?;
            }
            typed.into_optimized()?.into_runnable()
        };
        let plan = prepare().map_err(|error: TractError| {
            Error::model(format!("the model can't be prepared for running: {error:#}"))
        })?;
        check_facts(plan.model())?;
        let report = report(plan.model());
        let feature_node = head.feature_node();
        let (parts, num_features, last) = match head.end {
            End::Linear(linear, _) => {
                let num_features = linear.num_features();
                check_features(&plan, num_features)?;
                (vec![FeaturePart::Whole], num_features, LastLayer::Linear(linear))
            }
            End::Opaque(opaque) => {
                let (parts, layer) = opaque_parts(&plan, opaque)?;
                (parts, layer.features + layer.classes, LastLayer::Opaque(layer))
            }
        };
        let watched = watch::watched(plan.model(), parts.len())?;
        let backbone = Self {
            plan,
            input_shape,
            takes_bytes,
            num_features,
            parts,
            feature_node,
            output: head.output,
            is_multi_label: head.is_multi_label,
            report,
            watched,
        };
        Ok((backbone, last))
    }

    /// The penultimate-layer features `[D]` of one normalised image: the input of the head. Where the
    /// last layer isn't linear, the logits follow behind them ([`OpaqueLayer`]).
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
        // A slice, because an array's iterator takes a millisecond for 224 x 224 pixels.
        let input = input.as_standard_layout();
        let values = input.as_slice().unwrap_or_default();
        // A ReLU may swallow a NaN, so that the features alone wouldn't show it.
        if let Some(value) = values.iter().find(|value| value.is_nan() || value.abs() > MAX_WATCHED)
        {
            return Err(Error::features(format!(
                "the normalised image has the value {value}; check mean and standard deviation"
            )));
        }
        let (features, largest) = self.run(values)?;
        match features.indexed_iter().find(|(_, value)| !value.is_finite()) {
            None if largest <= MAX_WATCHED => Ok(features),
            None => Err(Error::features(format!(
                "the network computes {} on its way to the features; check how images are \
                 normalised (mean and standard deviation), and the model's weights",
                watch::described(largest)
            ))),
            Some((index, value)) => Err(Error::features(format!(
                "the network's feature {index} is {value}; check how images are normalised \
                 (mean and standard deviation), and the model's weights"
            ))),
        }
    }

    /// The features, and the largest magnitude of the values that are watched.
    fn run(&self, input: &[f32]) -> Result<(Array1<f32>, f32)> {
        let failed = |error: String| {
            Error::model(format!("the network failed on an image of the right shape: {error}"))
        };
        let run = || {
            let input = Tensor::from_shape(&self.input_shape, input)?;
            let outputs = self.plan.run(tvec!(TValue::from(input)))?;
            let mut features = Vec::with_capacity(self.num_features);
            for (part, output) in self.parts.iter().zip(&outputs) {
                let output = output.cast_to::<f32>()?;
                let values = output.to_plain_array_view::<f32>()?;
                match *part {
                    FeaturePart::Whole => features.extend(values.iter()),
                    FeaturePart::Means(axis) => {
                        features.extend(values.axis_iter(Axis(axis)).map(|of_one| {
                            let sum: f64 = of_one.iter().map(|&value| f64::from(value)).sum();
                            (sum / of_one.len() as f64) as f32
                        }))
                    }
                }
            }
            let mut greatest = 0f32;
            for &index in &self.watched {
                greatest = watch::largest(outputs.get(index), greatest)?;
            }
            Ok((Array1::from_vec(features), greatest))
        };
        catch_panic(run).map_err(failed)?.map_err(|error: TractError| failed(format!("{error:#}")))
    }

    /// What each operator takes: the least of several runs on one normalised image.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the network fails on it.
    pub fn profile(&self, input: ArrayView4<f32>, runs: usize) -> Result<Vec<OperatorTime>> {
        let failed =
            |error: String| Error::model(format!("the network can't be profiled: {error}"));
        let run = || {
            let input = TValue::from(Tensor::from(input.to_owned()));
            profile::profile(&self.plan, &input, runs)
        };
        catch_panic(run).map_err(failed)?.map_err(|error: TractError| failed(format!("{error:#}")))
    }

    /// The input's shape, `[1, channels, height, width]`.
    pub fn input_shape(&self) -> [usize; 4] {
        self.input_shape
    }

    /// Whether the model takes bytes from 0 to 255 and normalises them itself. Its input here is
    /// these divided by 255, as a mean of 0 and a standard deviation of 1 give it.
    pub fn takes_bytes(&self) -> bool {
        self.takes_bytes
    }

    /// Whether the model's classes don't exclude each other: a sigmoid follows the logits, not a
    /// softmax. Scores that are made for a softmax mean little then.
    pub fn is_multi_label(&self) -> bool {
        self.is_multi_label
    }

    /// The model's output that the logits belong to.
    pub fn output(&self) -> &str {
        &self.output
    }

    /// Number of features, D; with the logits where the last layer isn't linear.
    pub fn num_features(&self) -> usize {
        self.num_features
    }

    /// The name of the features in the ONNX model.
    pub fn feature_node(&self) -> &str {
        &self.feature_node
    }

    /// How many operators run on which kernels; the same for every image.
    pub fn report(&self) -> &BackboneReport {
        &self.report
    }
}

/// Turns a panic of tract, which may happen in spite of all checks, into its message. WebAssembly
/// can't catch a panic; there the instance ends.
fn catch_panic<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
    })
}

/// Refuses shapes that are unknown or too large to be computed.
fn check_facts(model: &TypedModel) -> Result<()> {
    for node in model.nodes() {
        for output in &node.outputs {
            let Some(shape) = output.fact.shape.as_concrete() else {
                return Err(Error::model(format!(
                    "the shape {:?} of operator `{}` ({}) isn't known when the model is loaded; \
                     export the model with a fixed image size",
                    output.fact.shape,
                    node.name,
                    node.op.name()
                )));
            };
            if graph::elements(shape).is_none_or(|elements| elements > onnx::MAX_ELEMENTS) {
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
            "the last linear layer has weights for {num_features} features, but one image gives \
             features of shape {shape:?}; a layer that is applied to many positions isn't \
             supported"
        )));
    }
    Ok(())
}

/// What the outputs of a network with its last layer hold.
fn opaque_parts(plan: &TypedSimplePlan, opaque: Opaque) -> Result<(Vec<FeaturePart>, OpaqueLayer)> {
    let shape = |output: usize| {
        let fact = plan.model().output_fact(output);
        let fact = fact.map_err(|e| Error::model(format!("the model yields no logits: {e:#}")))?;
        Ok(fact.shape.as_concrete().unwrap_or(&[]))
    };
    let mut parts = Vec::new();
    if let Some(Features { value, count, channels_first }) = &opaque.features {
        let shape = shape(0)?;
        let axis = if *channels_first { 1 } else { shape.len().saturating_sub(1) };
        if shape.get(axis) != Some(count) {
            return Err(Error::model(format!(
                "the last layer with weights takes {count} features, but `{value}` has the shape \
                 {shape:?}"
            )));
        }
        parts.push(FeaturePart::Means(axis));
    }
    let shape = shape(parts.len())?;
    parts.push(FeaturePart::Whole);
    let classes: usize = shape.iter().product();
    if classes < 2 || !shape.contains(&classes) {
        return Err(Error::model(format!(
            "no linear last layer (Gemm, MatMul or 1x1 Conv) found; {}. The values `{}` have the \
             shape {shape:?}, where a classifier has one row of two or more logits",
            opaque.reason, opaque.logits
        )));
    }
    let features = opaque.features.map_or(0, |features| features.count);
    Ok((parts, OpaqueLayer { classes, features, reason: opaque.reason }))
}

fn report(model: &TypedModel) -> BackboneReport {
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

#[cfg(test)]
mod tests {
    use super::*;
    use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;

    #[test]
    fn no_symbol_is_left_in_a_plan_of_a_model_with_a_symbolic_batch() {
        let model = include_bytes!("../../../tests/models/gemm.onnx");
        let proto = onnx::read(model, None, usize::MAX).unwrap();
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
