//! The network in front of the last linear layer, run by tract.

mod derivative;
mod features;
mod input;
mod last_map;
mod prepare;
mod report;
mod translate;
mod watch;

use std::borrow::Cow;
use std::sync::Arc;

use ndarray::{Array1, Array3, Array4, ArrayView1, ArrayView4};
use tract_onnx::pb;
use tract_onnx::prelude::{DatumExt, TValue, TVec, Tensor, TypedSimplePlan, tvec};

use self::derivative::{Derivative, derive};
use self::features::{FeaturePart, check_features, opaque_parts};
use self::last_map::LastMap;
use self::prepare::{FAILED, catch_panic, caught, prepare};
pub use self::report::BackboneReport;
use crate::check::{self, MAX_WATCHED};
use crate::error::{Error, Result};
use crate::head::{End, Head};
use crate::linear::{LastLayer, Linear, OpaqueLayer};
use crate::options::{Kernels, LoadOptions};
use crate::profile::OperatorTime;
use crate::{head, lower, onnx, profile};

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
    /// Or why there is none.
    derivative: Result<Derivative, String>,
    /// Or why there is none.
    last_map: Result<LastMap, String>,
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
        let values = check::check(&mut proto, input_shape, options.limits)?;
        let parts = head.num_outputs();
        let num_features = match &head.end {
            End::Linear(linear, _) => Some(linear.num_features()),
            End::Opaque(_) => None,
        };
        let (num_outputs, derivative, last_map) = match &mut proto.graph {
            Some(graph) => (
                graph.output.len(),
                derive(graph, &values, parts, options),
                LastMap::prepare(graph, &values, num_features, options.last_map),
            ),
            None => (0, Err(String::new()), Err(String::new())),
        };
        drop(values);
        let image = f32::fact(input_shape);
        let typed = translate::translate(proto, &[image]).map_err(|error| {
            Error::model(format!(
                "the model can't be run on an image of shape {input_shape:?}: {error:#}"
            ))
        })?;
        let plan = prepare(typed, options.kernels)?;
        let report = report::report(plan.model());
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
        let watched = watch::watched(plan.model(), parts.len()..num_outputs)?;
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
            derivative,
            last_map,
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
        let outputs = self.run(&self.checked(&input)?)?;
        self.features_of(&outputs)
    }

    /// The features `[D]` of a normalised image, and the last map `[D, H, W]` that they are the means of.
    ///
    /// # Errors
    /// As [`Backbone::features`], and [`ErrorKind::Model`](crate::ErrorKind::Model) if there is no such
    /// map ([`Backbone::map_obstacle`]).
    pub fn features_and_map(&self, input: ArrayView4<f32>) -> Result<(Array1<f32>, Array3<f32>)> {
        let last_map = self.last_map.as_ref().map_err(|why| Error::model(why.clone()))?;
        let outputs = self.run(&self.checked(&input)?)?;
        let features = self.features_of(&outputs)?;
        Ok((features, caught(FAILED, || last_map.read(&outputs))?))
    }

    /// Why there is no last map that the features are the means of; `None` if there is.
    pub fn map_obstacle(&self) -> Option<&str> {
        self.last_map.as_ref().err().map(String::as_str)
    }

    /// The features `[D]` of a normalised image, and the derivatives `[1, C, H, W]` of a number with
    /// respect to it. `cotangents` makes the number's derivatives with respect to the features, `[D]`,
    /// from the features.
    ///
    /// # Errors
    /// As [`Backbone::features`], what `cotangents` returns, and
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if there is no gradient
    /// ([`Backbone::gradient_obstacle`]).
    pub fn gradient<E: From<Error>>(
        &self,
        input: ArrayView4<f32>,
        cotangents: impl FnOnce(ArrayView1<f32>) -> Result<Array1<f32>, E>,
    ) -> Result<(Array1<f32>, Array4<f32>), E> {
        let derivative = self.derivative.as_ref().map_err(|why| Error::model(why.clone()))?;
        let input = self.checked(&input)?;
        let outputs = self.run(&input)?;
        let features = self.features_of(&outputs)?;
        let cotangents = cotangents(features.view())?;
        if cotangents.len() != self.num_features || cotangents.iter().any(|c| !c.is_finite()) {
            return Err(Error::features(format!(
                "{} finite derivatives are needed, one for each feature",
                self.num_features
            ))
            .into());
        }
        let run = || {
            let image = TValue::from(Tensor::from_shape(&self.input_shape, &input)?);
            derivative.run(&image, &outputs, &self.parts, &cotangents.to_vec())
        };
        let gradient = caught("the gradient failed", run)?;
        match gradient.iter().find(|value| !value.is_finite()) {
            None => Ok((features, gradient)),
            Some(value) => {
                Err(Error::features(format!("the gradient for this image is {value}")).into())
            }
        }
    }

    /// Why there is no gradient; `None` if there is.
    pub fn gradient_obstacle(&self) -> Option<&str> {
        self.derivative.as_ref().err().map(String::as_str)
    }

    /// The numbers of an image that can be run.
    fn checked<'a>(&self, input: &'a ArrayView4<f32>) -> Result<Cow<'a, [f32]>> {
        if input.shape() != self.input_shape {
            return Err(Error::features(format!(
                "the network's input has shape {:?}, but {:?} was given",
                self.input_shape,
                input.shape()
            )));
        }
        // A slice, because an array's iterator takes a millisecond for 224 x 224 pixels.
        let values = match input.as_slice() {
            Some(values) => Cow::Borrowed(values),
            None => Cow::Owned(input.iter().copied().collect()),
        };
        // A ReLU may swallow a NaN, so that the features alone wouldn't show it.
        if let Some(value) = values.iter().find(|value| value.is_nan() || value.abs() > MAX_WATCHED)
        {
            return Err(Error::features(format!(
                "the normalised image has the value {value}; check mean and standard deviation"
            )));
        }
        Ok(values)
    }

    /// The features in the network's outputs.
    fn features_of(&self, outputs: &[TValue]) -> Result<Array1<f32>> {
        let (features, largest) = caught(FAILED, || {
            let largest = |most, &at: &usize| watch::largest(outputs.get(at), most);
            let largest = self.watched.iter().try_fold(0.0, largest)?;
            Ok((features::read(&self.parts, outputs)?, largest))
        })?;
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

    fn run(&self, input: &[f32]) -> Result<TVec<TValue>> {
        caught(FAILED, || {
            let input = Tensor::from_shape(&self.input_shape, input)?;
            self.plan.run(tvec!(TValue::from(input)))
        })
    }

    /// What each operator takes: the least of several runs on one normalised image. `clock` tells the
    /// time in seconds: WebAssembly has no clock of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Model`](crate::ErrorKind::Model) if the network fails on it.
    pub fn profile(
        &self,
        input: ArrayView4<f32>,
        runs: usize,
        clock: &dyn Fn() -> f64,
    ) -> Result<Vec<OperatorTime>> {
        caught("the network can't be profiled", || {
            let input = TValue::from(Tensor::from(input.to_owned()));
            profile::profile(&self.plan, &input, runs, clock)
        })
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
