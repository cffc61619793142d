//! The JavaScript boundary: the only crate that knows `JsValue`.
//!
//! Small structs travel through serde as plain objects with camelCase names; arrays as copied
//! typed arrays (a view into WebAssembly memory would be cut off when the memory grows). Whatever
//! fails throws a plain `{ code, message }`, which `www/lib` turns into an `OodError`.

mod from_js;
mod to_js;

use itp_ood::calibration::{self, Calibrator};
use itp_ood::detection::Part;
use itp_ood::metrics::Metrics;
use itp_ood::tune::report::Report;
use itp_ood::tune::{PseudoOodTask, TuneOptions, Tuner};
use itp_ood::{
    Detector, Error, FeatureDetector, Info, Limits, Model, ModelOptions, Options, Pixels,
    Preprocess, Result, Stats,
};
use js_sys::{Float32Array, Function, Reflect, Uint8Array};
use ndarray::{ArrayView1, ArrayView2};
use wasm_bindgen::prelude::*;

use from_js::{from_js, image_view, is_missing, pixels};
use to_js::{to_js, to_js_error};

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
import type {
  CalibrationSettings,
  Counterfactual,
  Detection,
  DetectOptions,
  DetectorInfo,
  Evidence,
  Explanation,
  FeatureDetection,
  Metrics,
  Preprocess,
  PseudoOodTask,
  RawImage,
  ScoreName,
  TunerOptions,
  TuneReport,
} from "./types.js";
"#;

#[allow(unsafe_code, reason = "a linker symbol can't be called in any other way")]
mod constructors {
    unsafe extern "C" {
        fn __wasm_call_ctors();
    }

    /// Runs the static constructors once.
    ///
    /// tract registers its kernels through `inventory`, in static constructors. Unless the module
    /// calls them itself, the linker wraps every export so that it runs them all again
    /// (`NAME_command_export`), which breaks wasm-bindgen: github.com/dtolnay/inventory/pull/78.
    pub fn run() {
        // SAFETY: the linker defines this function; it is called exactly once, before anything
        // else runs in the module.
        unsafe { __wasm_call_ctors() }
    }
}

#[wasm_bindgen(start)]
fn start() {
    constructors::run();
}

/// The package's version.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

/// A model, and what follows from its stats file if there is one.
#[wasm_bindgen]
pub struct Engine(Loaded);

enum Loaded {
    Model(Box<Model>),
    Detector(Box<Detector>),
}

#[wasm_bindgen]
impl Engine {
    #[allow(clippy::too_many_arguments, reason = "an object would have to be read by hand")]
    /// Loads an ONNX model with its stats file, or with a preprocessing only (then features and
    /// calibration work, and nothing else).
    ///
    /// `output` names the output to use where the model has several classifiers; `memory` is the
    /// most that the model may use, in MiB; `gradient` says whether to prepare the gradient, too,
    /// `evidence` whether to keep the last map;
    /// `external_data` gives the bytes of a file that the model's weights are in, by its name.
    #[wasm_bindgen(constructor)]
    pub fn new(
        model: Vec<u8>,
        stats: Option<Vec<u8>>,
        #[wasm_bindgen(unchecked_param_type = "Preprocess | undefined")] preprocess: JsValue,
        output: Option<String>,
        memory: Option<u32>,
        gradient: Option<bool>,
        evidence: Option<bool>,
        #[wasm_bindgen(unchecked_optional_param_type = "(name: string) => Uint8Array | undefined")]
        external_data: Option<Function>,
    ) -> Result<Engine, JsValue> {
        let stats = stats.map(|bytes| Stats::from_bytes(&bytes)).transpose();
        let mut stats = stats.map_err(to_js_error)?;
        let given: Option<Preprocess> =
            if is_missing(&preprocess) { None } else { Some(from_js(preprocess)?) };
        if let Some(given) = &given {
            stats = stats.map(|stats| stats.with_preprocess(given.clone()));
        }
        let read = |name: &str| {
            let found = external_data.as_ref()?.call1(&JsValue::NULL, &name.into()).ok()?;
            found.is_instance_of::<Uint8Array>().then(|| Uint8Array::new(&found).to_vec())
        };
        let (output, external_data) = (output.as_deref(), Some(&read as itp_ood::ExternalData));
        let limits = memory.map(Limits::with_memory).unwrap_or_default();
        let (gradient, evidence) = (gradient.unwrap_or(false), evidence.unwrap_or(false));
        let options = ModelOptions { output, external_data, limits, gradient, evidence };
        let model = match (&stats, given) {
            (Some(stats), _) => Model::load_for_with(model, stats, &options),
            (None, Some(preprocess)) => Model::load_with(model, preprocess, &options),
            (None, None) => Err(Error::options(
                "without a stats file the preprocessing must be given: mean, std, and resize and \
                 crop where the model needs them",
            )),
        };
        let model = model.map_err(to_js_error)?;
        Ok(Engine(match stats {
            None => Loaded::Model(Box::new(model)),
            Some(stats) => {
                Loaded::Detector(Box::new(Detector::from_model(model, stats).map_err(to_js_error)?))
            }
        }))
    }

    /// What is known of the model and its stats file.
    #[wasm_bindgen(getter, unchecked_return_type = "DetectorInfo")]
    pub fn info(&self) -> Result<JsValue, JsValue> {
        let info = match &self.0 {
            Loaded::Model(model) => Info::new(model, None),
            Loaded::Detector(detector) => detector.info(),
        };
        to_js(&info.map_err(to_js_error)?)
    }

    /// The features `[D]` of one image: preprocessing and backbone.
    pub fn features(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | Uint8ClampedArray")] pixels: &[u8],
        width: u32,
        height: u32,
        channels: u32,
    ) -> Result<Float32Array, JsValue> {
        let image = image_view(pixels, width, height, channels)?;
        let features = self.model().features(&image).map_err(to_js_error)?;
        Ok(Float32Array::from(features.as_standard_layout().as_slice().unwrap_or(&[])))
    }

    /// The features `[D]` of the slightly zoomed copy of a held-back image ([`calibration::zoomed`]).
    #[wasm_bindgen(js_name = zoomedFeatures)]
    pub fn zoomed_features(
        &self,
        #[wasm_bindgen(unchecked_param_type = "RawImage")] image: JsValue,
        seed: u32,
        number: u32,
    ) -> Result<Vec<f32>, JsValue> {
        let image = pixels(&image)?;
        let features = image.view().and_then(|view| {
            let resized = self.model().preprocess().resized(&view)?;
            let copy = calibration::zoomed(&resized, seed.into(), number.into())?;
            self.model().features_of_resized(&copy)
        });
        Ok(features.map_err(to_js_error)?.to_vec())
    }

    /// Class, score and verdict of one image, with its features.
    #[wasm_bindgen(js_name = detectImage, unchecked_return_type = "Detection")]
    pub fn detect_image(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | Uint8ClampedArray")] pixels: &[u8],
        width: u32,
        height: u32,
        channels: u32,
        #[wasm_bindgen(unchecked_param_type = "DetectOptions")] options: JsValue,
    ) -> Result<JsValue, JsValue> {
        let image = image_view(pixels, width, height, channels)?;
        let options: Options = from_js(options)?;
        let (features, found) =
            self.detector()?.detect_with_features(&image, &options).map_err(to_js_error)?;
        let found = to_js(&found)?;
        let features = Float32Array::from(features.as_slice().unwrap_or(&[]));
        Reflect::set(&found, &"features".into(), &features)?;
        Ok(found)
    }

    /// How the score depends on each value of the network's input, `[C, H, W]`.
    pub fn saliency(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | Uint8ClampedArray")] pixels: &[u8],
        width: u32,
        height: u32,
        channels: u32,
        #[wasm_bindgen(unchecked_param_type = "DetectOptions")] options: JsValue,
    ) -> Result<Vec<f32>, JsValue> {
        let image = image_view(pixels, width, height, channels)?;
        let saliency = self.detector()?.saliency(&image, &from_js(options)?);
        Ok(saliency.map_err(to_js_error)?.into_iter().collect())
    }

    /// What each position of the last map adds to a class's logit. As they are, class and part need no
    /// glue of their own.
    #[wasm_bindgen(unchecked_return_type = "Evidence")]
    #[allow(clippy::too_many_arguments, reason = "an object would have to be read by hand")]
    pub fn evidence(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Uint8Array | Uint8ClampedArray")] pixels: &[u8],
        width: u32,
        height: u32,
        channels: u32,
        #[wasm_bindgen(unchecked_param_type = "number | undefined")] class_index: JsValue,
        #[wasm_bindgen(unchecked_param_type = "string | undefined")] part: JsValue,
        #[wasm_bindgen(unchecked_param_type = "DetectOptions")] options: JsValue,
    ) -> Result<JsValue, JsValue> {
        let image = image_view(pixels, width, height, channels)?;
        let class_index = class_index.as_f64().map(|index| index as usize);
        let part = part.as_string().map_or(Ok(Part::Kept), |part| part.parse());
        let part = part.map_err(to_js_error)?;
        let found = self.detector()?.evidence(&image, class_index, part, &from_js(options)?);
        to_js(&found.map_err(to_js_error)?)
    }

    /// Class, score and verdict from features; the backbone does not run.
    #[wasm_bindgen(unchecked_return_type = "FeatureDetection")]
    pub fn detect(
        &self,
        features: &[f32],
        #[wasm_bindgen(unchecked_param_type = "DetectOptions")] options: JsValue,
    ) -> Result<JsValue, JsValue> {
        let options: Options = from_js(options)?;
        to_js(&self.of_features()?.detect(features.into(), &options).map_err(to_js_error)?)
    }

    /// Every weight of one class, and whether and why it was pruned.
    #[wasm_bindgen(unchecked_return_type = "Explanation")]
    pub fn explain(
        &self,
        features: &[f32],
        class_index: usize,
        #[wasm_bindgen(unchecked_param_type = "DetectOptions")] options: JsValue,
    ) -> Result<JsValue, JsValue> {
        let options: Options = from_js(options)?;
        let why = self.of_features()?.explain(features.into(), class_index, &options);
        to_js(&why.map_err(to_js_error)?)
    }

    /// What would turn the verdict.
    #[wasm_bindgen(unchecked_return_type = "Counterfactual")]
    pub fn counterfactual(
        &self,
        features: &[f32],
        #[wasm_bindgen(unchecked_param_type = "DetectOptions")] options: JsValue,
    ) -> Result<JsValue, JsValue> {
        let options: Options = from_js(options)?;
        to_js(&self.of_features()?.counterfactual(features.into(), &options).map_err(to_js_error)?)
    }

    /// Why each of the K x D weights is left out, class by class: 0 kept, 1 redundant,
    /// 2 overconfident, 3 both.
    #[wasm_bindgen(js_name = weightMap, unchecked_return_type = "Uint8Array")]
    pub fn weight_map(
        &self,
        features: &[f32],
        #[wasm_bindgen(unchecked_param_type = "DetectOptions")] options: JsValue,
    ) -> Result<JsValue, JsValue> {
        let options: Options = from_js(options)?;
        to_js(&self.of_features()?.weight_map(features.into(), &options).map_err(to_js_error)?)
    }

    /// The score of each row of features `[rows, D]`.
    pub fn scores(
        &self,
        features: &[f32],
        rows: usize,
        #[wasm_bindgen(unchecked_param_type = "DetectOptions")] options: JsValue,
    ) -> Result<Vec<f64>, JsValue> {
        let options: Options = from_js(options)?;
        let columns = self.model().head().num_features();
        let features = ArrayView2::from_shape((rows, columns), features).map_err(|_| {
            to_js_error(Error::features(format!(
                "{} values given for {rows} rows of {columns} features",
                features.len()
            )))
        })?;
        self.of_features()?.scores(features, &options).map_err(to_js_error)
    }

    /// Sorted in-distribution scores: the stored ones or, with settings given, those under these
    /// settings. `undefined` if the stats file has none.
    #[wasm_bindgen(js_name = idScores)]
    pub fn id_scores(
        &self,
        #[wasm_bindgen(unchecked_param_type = "ScoreName")] score: &str,
        #[wasm_bindgen(unchecked_param_type = "DetectOptions | undefined")] options: JsValue,
    ) -> Result<Option<Vec<f32>>, JsValue> {
        let detector = self.of_features()?;
        if is_missing(&options) {
            return Ok(detector.stats().id_scores().get(score).cloned());
        }
        let options = from_js::<Options>(options)?.score(score);
        detector.id_scores(&options).map_err(to_js_error)
    }

    fn model(&self) -> &Model {
        match &self.0 {
            Loaded::Model(model) => model,
            Loaded::Detector(detector) => detector.model(),
        }
    }

    fn detector(&self) -> Result<&Detector, JsValue> {
        match &self.0 {
            Loaded::Detector(detector) => Ok(detector),
            Loaded::Model(_) => Err(to_js_error(Error::stats(
                "the model was loaded without a stats file; load it with one",
            ))),
        }
    }

    fn of_features(&self) -> Result<&FeatureDetector, JsValue> {
        Ok(self.detector()?.feature_detector())
    }
}

/// Makes a stats file from features.
#[wasm_bindgen(js_name = Calibrator)]
pub struct WasmCalibrator(Calibrator);

#[wasm_bindgen(js_class = Calibrator)]
impl WasmCalibrator {
    /// Starts a calibration of the engine's model, with one label for each class.
    #[wasm_bindgen(constructor)]
    pub fn new(engine: &Engine, labels: Vec<String>) -> Result<WasmCalibrator, JsValue> {
        Calibrator::new(engine.model(), labels).map(WasmCalibrator).map_err(to_js_error)
    }

    /// Gathers from the next image on what these detectors need beyond ITP; `all` stands for every
    /// one. Call it before the first image.
    pub fn learn(
        &mut self,
        #[wasm_bindgen(unchecked_param_type = "ScoreName[]")] detectors: Vec<String>,
    ) -> Result<(), JsValue> {
        self.0.learn(&detectors).map_err(to_js_error)
    }

    /// Adds a training image's features to its true class.
    pub fn add(&mut self, features: &[f32], class_index: usize) -> Result<(), JsValue> {
        self.0.add(class_index, features.into()).map_err(to_js_error)
    }

    /// Adds a held-out in-distribution image's features.
    #[wasm_bindgen(js_name = addHoldout)]
    pub fn add_holdout(&mut self, features: &[f32]) -> Result<(), JsValue> {
        self.0.add_holdout(ArrayView1::from(features)).map_err(to_js_error)
    }

    /// Which training images to hold back where there are no others (1), given the class of each.
    #[wasm_bindgen(js_name = holdBack)]
    pub fn hold_back(classes: &[u32], seed: u32) -> Vec<u8> {
        let classes: Vec<usize> = classes.iter().map(|&class| class as usize).collect();
        calibration::hold_back(&classes, seed.into()).into_iter().map(u8::from).collect()
    }

    /// Adds the features of a held-back training image and of its zoomed copy; gives those that
    /// stand for it.
    #[wasm_bindgen(js_name = addHeldBack)]
    pub fn add_held_back(
        &mut self,
        class_index: usize,
        features: &[f32],
        copy: &[f32],
    ) -> Result<Vec<f32>, JsValue> {
        let unseen = self.0.add_held_back(class_index, features.into(), copy.into());
        Ok(unseen.map_err(to_js_error)?.to_vec())
    }

    /// Training images of each class so far.
    #[wasm_bindgen(getter)]
    pub fn counts(&self) -> Vec<u32> {
        self.0.counts().iter().map(|&n| u32::try_from(n).unwrap_or(u32::MAX)).collect()
    }

    /// What a user should know before trusting the result.
    pub fn warnings(&self) -> Vec<String> {
        self.0.warnings()
    }

    /// The stats file's bytes.
    pub fn finish(
        &self,
        #[wasm_bindgen(unchecked_param_type = "CalibrationSettings | undefined")] settings: JsValue,
    ) -> Result<Vec<u8>, JsValue> {
        let stats = self.0.finish(&from_js(settings)?);
        stats.and_then(|stats| stats.to_bytes()).map_err(to_js_error)
    }
}

/// The preprocessing that the text of a `preprocessor_config.json` of Hugging Face describes.
#[wasm_bindgen(js_name = huggingFacePreprocess, unchecked_return_type = "Preprocess")]
pub fn hugging_face_preprocess(json: &str) -> Result<JsValue, JsValue> {
    to_js(&Preprocess::from_hugging_face(json).map_err(to_js_error)?)
}

/// How well the scores of in-distribution images lie above those of others.
#[wasm_bindgen(unchecked_return_type = "Metrics")]
pub fn metrics(id_scores: &[f64], ood_scores: &[f64]) -> Result<JsValue, JsValue> {
    to_js(&Metrics::between(id_scores, ood_scores).map_err(to_js_error)?)
}

/// Chooses hyperparameters from held-out images ([`itp_ood::tune`]).
///
/// The page adds every held-out image's features, asks for the pseudo-OOD tasks, and runs them one by
/// one, with as many pauses as it likes.
#[wasm_bindgen(js_name = Tuner)]
pub struct WasmTuner {
    /// None once it has finished.
    tuner: Option<Tuner>,
    tasks: Vec<PseudoOodTask>,
    report: Option<Report>,
}

#[wasm_bindgen(js_class = Tuner)]
impl WasmTuner {
    /// Starts tuning the engine's stats file; options may leave out what has a default.
    #[wasm_bindgen(constructor)]
    pub fn new(
        engine: &Engine,
        #[wasm_bindgen(unchecked_param_type = "TunerOptions")] options: JsValue,
    ) -> Result<WasmTuner, JsValue> {
        let options: TuneOptions = from_js(options)?;
        let stats = engine.of_features()?.stats().clone();
        let tuner = Tuner::new(engine.model(), stats, options).map_err(to_js_error)?;
        Ok(Self { tuner: Some(tuner), tasks: Vec::new(), report: None })
    }

    /// Adds a held-out image's features under a number of the caller's; without a class the
    /// predicted one is taken.
    #[wasm_bindgen(js_name = addHoldout)]
    pub fn add_holdout(
        &mut self,
        image: usize,
        class_index: Option<usize>,
        features: &[f32],
    ) -> Result<(), JsValue> {
        self.running()?.add_holdout(image, class_index, features.into()).map_err(to_js_error)
    }

    /// The pseudo-OOD images to make.
    #[wasm_bindgen(unchecked_return_type = "PseudoOodTask[]")]
    pub fn tasks(&mut self) -> Result<JsValue, JsValue> {
        self.tasks = self.running()?.tasks().map_err(to_js_error)?;
        to_js(&self.tasks)
    }

    /// Makes a task's image, as the model would see it, from its held-out image and, where the task
    /// names one, its partner.
    #[wasm_bindgen(unchecked_return_type = "RawImage")]
    pub fn make(
        &self,
        engine: &Engine,
        task: usize,
        #[wasm_bindgen(unchecked_param_type = "RawImage")] image: JsValue,
        #[wasm_bindgen(unchecked_param_type = "RawImage | undefined")] partner: JsValue,
    ) -> Result<JsValue, JsValue> {
        to_js(&self.made(engine, task, &image, &partner)?)
    }

    /// Makes a task's image and keeps its features; a task may be left out.
    pub fn run(
        &mut self,
        engine: &Engine,
        task: usize,
        #[wasm_bindgen(unchecked_param_type = "RawImage")] image: JsValue,
        #[wasm_bindgen(unchecked_param_type = "RawImage | undefined")] partner: JsValue,
    ) -> Result<(), JsValue> {
        let made = self.made(engine, task, &image, &partner)?;
        let features = engine.model().features_of_resized(&made).map_err(to_js_error)?;
        let task = self.tasks[task];
        self.running()?.add(&task, features.view()).map_err(to_js_error)
    }

    /// Picks the settings: the tuned stats file's bytes.
    pub fn finish(&mut self) -> Result<Vec<u8>, JsValue> {
        let tuner = self.tuner.take().ok_or_else(finished_tuning)?;
        let (stats, report) = tuner.finish().map_err(to_js_error)?;
        self.report = Some(report);
        stats.to_bytes().map_err(to_js_error)
    }

    /// The report, once finished.
    #[wasm_bindgen(getter, unchecked_return_type = "TuneReport")]
    pub fn report(&self) -> Result<JsValue, JsValue> {
        to_js(self.finished()?)
    }

    /// The report as Markdown, once finished.
    #[wasm_bindgen(getter)]
    pub fn markdown(&self) -> Result<String, JsValue> {
        Ok(self.finished()?.to_markdown())
    }

    fn finished(&self) -> Result<&Report, JsValue> {
        let unfinished =
            || to_js_error(Error::options("tuning has not finished: there is no report"));
        self.report.as_ref().ok_or_else(unfinished)
    }

    fn running(&mut self) -> Result<&mut Tuner, JsValue> {
        self.tuner.as_mut().ok_or_else(finished_tuning)
    }

    fn made(
        &self,
        engine: &Engine,
        task: usize,
        image: &JsValue,
        partner: &JsValue,
    ) -> Result<Pixels, JsValue> {
        let number = self.tasks.len();
        let task = self.tasks.get(task).ok_or_else(|| {
            to_js_error(Error::options(format!("task {task} asked for, but there are {number}")))
        })?;
        let resized = |image: &JsValue| -> Result<Pixels, JsValue> {
            let image = pixels(image)?;
            let view = image.view().map_err(to_js_error)?;
            engine.model().preprocess().resized(&view).map_err(to_js_error)
        };
        let partner = task.partner.map(|_| resized(partner)).transpose()?;
        task.make(&resized(image)?, partner.as_ref()).map_err(to_js_error)
    }
}

fn finished_tuning() -> JsValue {
    to_js_error(Error::options("tuning has finished; begin it again for another choice"))
}
