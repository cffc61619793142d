//! The JavaScript boundary: the only crate that knows `JsValue`.
//!
//! Small structs travel through serde as plain objects with camelCase names; arrays as copied
//! typed arrays (a view into WebAssembly memory would be cut off when the memory grows). Whatever
//! fails throws a plain `{ code, message }`, which `www/lib` turns into an `OodError`.

use js_sys::{Float32Array, Object, Reflect, Uint8Array};
use ndarray::{ArrayView1, ArrayView2};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

use itp_ood::calibration::Calibrator;
use itp_ood::detection::{Energies, FeatureDetector, TopClass};
use itp_ood::error::{Error, Result};
use itp_ood::image::{ImageView, PixelFormat, Pixels, Preprocess};
use itp_ood::model::Model;
use itp_ood::pruning::{Counts, Reason};
use itp_ood::score::held::HeldExplanation;
use itp_ood::settings::{Options, Settings};
use itp_ood::stats::Stats;
use itp_ood::tune::report::Report;
use itp_ood::tune::{Job, TuneOptions, Tuner};

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
pub struct Engine {
    model: Model,
    on_features: Option<FeatureDetector>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Info<'a> {
    classes: usize,
    features: usize,
    input_shape: [usize; 4],
    labels: &'a [String],
    preprocess: &'a Preprocess,
    settings: Option<UsedSettings<'a>>,
    counts: Vec<f64>,
    scores: Vec<&'static str>,
    threshold: Option<f64>,
    id_images: usize,
    model_sha256: &'a str,
    feature_node: &'a str,
    operators: Operators,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Operators {
    own: usize,
    tract: usize,
}

/// [`Settings`] as JavaScript sees them: infinity is a number there.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UsedSettings<'a> {
    p: f64,
    lambda: f64,
    score: &'a str,
    temperature: f64,
    react: Option<f64>,
    tpr: f64,
    held_lambda: f64,
    held_a: Option<f64>,
}

impl<'a> From<&'a Settings> for UsedSettings<'a> {
    fn from(settings: &'a Settings) -> Self {
        Self {
            p: settings.p,
            lambda: settings.lambda,
            score: &settings.score,
            temperature: settings.temperature,
            react: settings.react,
            tpr: settings.tpr,
            held_lambda: settings.held_lambda,
            held_a: settings.held_a,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verdict<'a> {
    label: &'a str,
    class_index: usize,
    score: f64,
    score_name: &'a str,
    unpruned_score: f64,
    threshold: Option<f64>,
    in_distribution: Option<bool>,
    p_value: Option<f64>,
    top_k: &'a [TopClass],
    energies: Energies,
    counts: Counts,
    settings: UsedSettings<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClassSums<'a> {
    class_index: usize,
    label: &'a str,
    bias: f64,
    logit: f64,
    pruned_logit: f64,
    omega: f64,
    kept_sum: f64,
    redundant_sum: f64,
    overconfident_sum: f64,
    both_sum: f64,
}

/// What HELD and T make of the same features; arrays follow.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeldSums {
    held_back_sum: f64,
    logit: f64,
    held: f64,
    t: f64,
    a: Option<f64>,
    held_t: Option<f64>,
}

impl From<&HeldExplanation> for HeldSums {
    fn from(why: &HeldExplanation) -> Self {
        let &HeldExplanation { held_back_sum, logit, held, t, a, held_t, .. } = why;
        Self { held_back_sum, logit, held, t, a, held_t }
    }
}

#[wasm_bindgen]
impl Engine {
    /// Loads an ONNX model with its stats file, or with a preprocessing only (then features and
    /// calibration work, and nothing else).
    #[wasm_bindgen(constructor)]
    pub fn new(
        model: &[u8],
        stats: Option<Vec<u8>>,
        preprocess: JsValue,
    ) -> Result<Engine, JsValue> {
        let mut stats = stats.map(|bytes| Stats::from_bytes(&bytes)).transpose().map_err(thrown)?;
        let given = if is_missing(&preprocess) { None } else { Some(from_js(preprocess)?) };
        if let (Some(stats), Some(given)) = (&mut stats, &given) {
            stats.preprocess = Preprocess::clone(given);
        }
        let model = match (&stats, given) {
            (Some(stats), _) => Model::load_for(model, stats),
            (None, Some(preprocess)) => Model::load(model, preprocess),
            (None, None) => Err(Error::options(
                "without a stats file the preprocessing must be given: mean, std, and resize and \
                 crop where the model needs them",
            )),
        };
        let model = model.map_err(thrown)?;
        let on_features = stats
            .map(|stats| FeatureDetector::new(model.head().clone(), stats))
            .transpose()
            .map_err(thrown)?;
        Ok(Engine { model, on_features })
    }

    /// What is known of the model and its stats file.
    #[wasm_bindgen(getter)]
    pub fn info(&self) -> Result<JsValue, JsValue> {
        let detector = self.on_features.as_ref();
        let stats = detector.map(FeatureDetector::stats);
        let report = self.model.backbone().report();
        let ids = stats.and_then(|stats| stats.id_scores.get(&stats.settings.score));
        let threshold = ids
            .zip(stats)
            .map(|(ids, stats)| itp_ood::threshold::threshold(ids, stats.settings.tpr))
            .transpose()
            .map_err(thrown)?;
        to_js(&Info {
            classes: self.model.head().num_classes(),
            features: self.model.head().num_features(),
            input_shape: self.model.backbone().input_shape(),
            labels: stats.map_or(&[], |stats| &stats.labels),
            preprocess: self.model.preprocess(),
            settings: stats.map(|stats| UsedSettings::from(&stats.settings)),
            counts: stats.map_or(vec![], |s| s.counts.iter().map(|&n| n as f64).collect()),
            scores: detector.map_or(vec![], FeatureDetector::scores_available),
            threshold,
            id_images: ids.map_or(0, Vec::len),
            model_sha256: self.model.sha256(),
            feature_node: self.model.backbone().feature_node(),
            operators: Operators { own: report.num_custom(), tract: report.num_tract() },
            warnings: stats.map_or(vec![], itp_ood::calibration::warnings_of),
        })
    }

    /// The features `[D]` of one image: preprocessing and backbone.
    pub fn features(
        &self,
        pixels: &[u8],
        width: u32,
        height: u32,
        channels: u32,
    ) -> Result<Float32Array, JsValue> {
        let image = view(pixels, width, height, channels)?;
        let features = self.model.features(&image).map_err(thrown)?;
        Ok(Float32Array::from(features.as_standard_layout().as_slice().unwrap_or(&[])))
    }

    /// Class, score and verdict from features; the backbone does not run.
    pub fn detect(&self, features: &[f32], options: JsValue) -> Result<JsValue, JsValue> {
        let options: Options = from_js(options)?;
        let found = self.detector()?.detect(features.into(), &options).map_err(thrown)?;
        let result = to_js(&Verdict {
            label: &found.label,
            class_index: found.class_index,
            score: found.score,
            score_name: &found.settings.score,
            unpruned_score: found.unpruned_score,
            threshold: found.threshold,
            in_distribution: found.in_distribution,
            p_value: found.p_value,
            top_k: &found.top_k,
            energies: found.energies,
            counts: found.counts,
            settings: UsedSettings::from(&found.settings),
        })?;
        set(&result, "logits", floats(found.logits.iter().map(|&logit| logit as f32)))?;
        set(&result, "prunedLogits", floats(found.pruned_logits.iter().map(|&f| f as f32)))?;
        Ok(result)
    }

    /// Every weight of one class, and whether and why it was pruned.
    pub fn explain(
        &self,
        features: &[f32],
        class_index: usize,
        options: JsValue,
    ) -> Result<JsValue, JsValue> {
        let options: Options = from_js(options)?;
        let why =
            self.detector()?.explain(features.into(), class_index, &options).map_err(thrown)?;
        let weights = &why.weights;
        let [kept_sum, redundant_sum, overconfident_sum, both_sum] = weights.sums;
        let result = to_js(&ClassSums {
            class_index,
            label: &why.label,
            bias: weights.bias,
            logit: weights.bias + weights.sums.iter().sum::<f64>(),
            pruned_logit: weights.bias + kept_sum,
            omega: why.omega,
            kept_sum,
            redundant_sum,
            overconfident_sum,
            both_sum,
        })?;
        for (name, values) in [
            ("weight", &weights.weight),
            ("feature", &why.features),
            ("contribution", &weights.contribution),
            ("mu", &weights.mu),
            ("sigma", &weights.sigma),
            ("z", &weights.z),
            ("limit", &weights.limit),
        ] {
            set(&result, name, floats(values.iter().copied()))?;
        }
        set(&result, "reason", reasons(&weights.reason))?;
        let held = to_js(&HeldSums::from(&why.held))?;
        for (name, values) in [
            ("limit", &why.held.limit),
            ("heldBack", &why.held.held_back),
            ("tTerms", &why.held.t_terms),
        ] {
            set(&held, name, floats(values.iter().map(|&value| value as f32)))?;
        }
        set(&result, "held", held)?;
        Ok(result)
    }

    /// Why each of the K x D weights is left out, class by class: 0 kept, 1 redundant,
    /// 2 overconfident, 3 both.
    #[wasm_bindgen(js_name = weightMap)]
    pub fn weight_map(&self, features: &[f32], options: JsValue) -> Result<JsValue, JsValue> {
        let options: Options = from_js(options)?;
        let map = self.detector()?.weight_map(features.into(), &options).map_err(thrown)?;
        Ok(reasons(&map))
    }

    /// The score of each row of features `[rows, D]`.
    pub fn scores(
        &self,
        features: &[f32],
        rows: usize,
        options: JsValue,
    ) -> Result<Vec<f64>, JsValue> {
        let options: Options = from_js(options)?;
        let columns = self.model.head().num_features();
        let features = ArrayView2::from_shape((rows, columns), features).map_err(|_| {
            thrown(Error::features(format!(
                "{} values given for {rows} rows of {columns} features",
                features.len()
            )))
        })?;
        self.detector()?.scores(features, &options).map_err(thrown)
    }

    /// Sorted in-distribution scores: the stored ones or, with settings given, those under these
    /// settings. `undefined` if the stats file has none.
    #[wasm_bindgen(js_name = idScores)]
    pub fn id_scores(&self, score: &str, options: JsValue) -> Result<Option<Vec<f32>>, JsValue> {
        let detector = self.detector()?;
        if is_missing(&options) {
            return Ok(detector.stats().id_scores.get(score).cloned());
        }
        let options = Options { score: Some(score.to_owned()), ..from_js(options)? };
        detector.id_scores(&options).map_err(thrown)
    }

    fn detector(&self) -> Result<&FeatureDetector, JsValue> {
        self.on_features.as_ref().ok_or_else(|| {
            thrown(Error::stats("the model was loaded without a stats file; load it with one"))
        })
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
        Calibrator::new(&engine.model, labels).map(WasmCalibrator).map_err(thrown)
    }

    /// Adds a training image's features to its true class.
    pub fn add(&mut self, features: &[f32], class_index: usize) -> Result<(), JsValue> {
        self.0.add(class_index, features.into()).map_err(thrown)
    }

    /// Adds a held-out in-distribution image's features.
    #[wasm_bindgen(js_name = addHoldout)]
    pub fn add_holdout(&mut self, features: &[f32]) -> Result<(), JsValue> {
        self.0.add_holdout(ArrayView1::from(features)).map_err(thrown)
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
    pub fn finish(&self, settings: JsValue) -> Result<Vec<u8>, JsValue> {
        let options: Options = from_js(settings)?;
        let settings = options.resolve(&Settings::default()).map_err(thrown)?;
        self.0.finish(settings).and_then(|stats| stats.to_bytes()).map_err(thrown)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Separation {
    auroc: f64,
    fpr95: f64,
    aupr_in: f64,
    aupr_out: f64,
    threshold95: f64,
}

/// How well the scores of in-distribution images lie above those of others.
#[wasm_bindgen]
pub fn metrics(id_scores: &[f64], ood_scores: &[f64]) -> Result<JsValue, JsValue> {
    let found = itp_ood::metrics::evaluate(id_scores, ood_scores).map_err(thrown)?;
    let mut sorted: Vec<f32> = id_scores.iter().map(|&score| score as f32).collect();
    sorted.sort_by(f32::total_cmp);
    let result = to_js(&Separation {
        auroc: found.auroc,
        fpr95: found.fpr95,
        aupr_in: found.aupr_in,
        aupr_out: found.aupr_out,
        threshold95: itp_ood::threshold::threshold(&sorted, 0.95).map_err(thrown)?,
    })?;
    let curve = itp_ood::metrics::roc(id_scores, ood_scores).map_err(thrown)?;
    let roc = JsValue::from(Object::new());
    set(&roc, "fpr", floats(curve.iter().map(|&(fpr, _)| fpr as f32)))?;
    set(&roc, "tpr", floats(curve.iter().map(|&(_, tpr)| tpr as f32)))?;
    set(&result, "roc", roc)?;
    Ok(result)
}

/// Chooses settings from held-out images: src/tune.rs has the whole story.
///
/// The page adds every held-out image's features, asks for the jobs, and runs them one by one, with
/// as many pauses as it likes.
#[wasm_bindgen(js_name = Tuner)]
pub struct WasmTuner {
    /// None once it has finished.
    tuner: Option<Tuner>,
    jobs: Vec<Job>,
    report: Option<Report>,
}

#[wasm_bindgen(js_class = Tuner)]
impl WasmTuner {
    /// Starts tuning the engine's stats file; options are `{ seed, perKind, rule: "r1" | "r*" }`.
    #[wasm_bindgen(constructor)]
    pub fn new(engine: &Engine, options: JsValue) -> Result<WasmTuner, JsValue> {
        let options: TuneOptions = from_js(options)?;
        let stats = engine.detector()?.stats().clone();
        let tuner = Tuner::new(&engine.model, stats, options).map_err(thrown)?;
        Ok(Self { tuner: Some(tuner), jobs: Vec::new(), report: None })
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
        self.running()?.add_holdout(image, class_index, features.into()).map_err(thrown)
    }

    /// The pseudo-OOD images to make, an array of `{ kind, image, partner? }`.
    pub fn jobs(&mut self) -> Result<JsValue, JsValue> {
        self.jobs = self.running()?.jobs().map_err(thrown)?;
        to_js(&self.jobs)
    }

    /// Makes a job's image, as the model would see it, from its held-out image and, where the job
    /// names one, its partner: `{ data, width, height, channels }`. Each image is an object of the
    /// same form with 1, 3 or 4 channels.
    pub fn make(
        &self,
        engine: &Engine,
        job: usize,
        image: JsValue,
        partner: JsValue,
    ) -> Result<JsValue, JsValue> {
        let made = self.made(engine, job, &image, &partner)?;
        let result = JsValue::from(Object::new());
        set(&result, "data", Uint8Array::from(made.data.as_slice()).into())?;
        set(&result, "width", made.width.into())?;
        set(&result, "height", made.height.into())?;
        set(&result, "channels", (made.channels as u32).into())?;
        Ok(result)
    }

    /// Makes a job's image and keeps its features; a job may be left out.
    pub fn run(
        &mut self,
        engine: &Engine,
        job: usize,
        image: JsValue,
        partner: JsValue,
    ) -> Result<(), JsValue> {
        let made = self.made(engine, job, &image, &partner)?;
        let features = engine.model.features_of_resized(&made).map_err(thrown)?;
        let job = self.jobs[job];
        self.running()?.add(&job, features.view()).map_err(thrown)
    }

    /// Picks the settings: the tuned stats file's bytes.
    pub fn finish(&mut self) -> Result<Vec<u8>, JsValue> {
        self.running()?;
        let Some(tuner) = self.tuner.take() else { return Ok(Vec::new()) };
        let (stats, report) = tuner.finish().map_err(thrown)?;
        self.report = Some(report);
        stats.to_bytes().map_err(thrown)
    }

    /// The report as JSON, once finished.
    #[wasm_bindgen(getter)]
    pub fn report(&self) -> Option<String> {
        self.report.as_ref().map(Report::to_json)
    }

    /// The report as Markdown, once finished.
    #[wasm_bindgen(getter)]
    pub fn markdown(&self) -> Option<String> {
        self.report.as_ref().map(Report::to_markdown)
    }

    fn running(&mut self) -> Result<&mut Tuner, JsValue> {
        self.tuner.as_mut().ok_or_else(|| {
            thrown(Error::options("tuning has finished; begin it again for another choice"))
        })
    }

    fn made(
        &self,
        engine: &Engine,
        job: usize,
        image: &JsValue,
        partner: &JsValue,
    ) -> Result<Pixels, JsValue> {
        let number = self.jobs.len();
        let job = self.jobs.get(job).ok_or_else(|| {
            thrown(Error::options(format!("job {job} asked for, but there are {number}")))
        })?;
        let resized = |image: &JsValue| -> Result<Pixels, JsValue> {
            let get = |name: &str| Reflect::get(image, &JsValue::from_str(name));
            let number = |name: &str| Ok::<_, JsValue>(get(name)?.as_f64().unwrap_or(0.0) as u32);
            let data = Uint8Array::new(&get("data")?).to_vec();
            let image = view(&data, number("width")?, number("height")?, number("channels")?)?;
            engine.model.preprocess().resized(&image).map_err(thrown)
        };
        let partner = job.partner.map(|_| resized(partner)).transpose()?;
        job.make(&resized(image)?, partner.as_ref()).map_err(thrown)
    }
}

/// Looks at bytes from JavaScript as an image.
fn view(pixels: &[u8], width: u32, height: u32, channels: u32) -> Result<ImageView<'_>, JsValue> {
    let format = match channels {
        1 => PixelFormat::Grey8,
        3 => PixelFormat::Rgb8,
        4 => PixelFormat::Rgba8,
        other => {
            return Err(thrown(Error::image(format!(
                "an image has 1, 3 or 4 channels, not {other}"
            ))));
        }
    };
    ImageView::new(pixels, width, height, format).map_err(thrown)
}

/// The error as JavaScript gets it.
fn thrown(error: Error) -> JsValue {
    #[derive(Serialize)]
    struct Thrown<'a> {
        code: &'static str,
        message: &'a str,
    }
    let thrown = Thrown { code: error.kind().code(), message: error.message() };
    to_js(&thrown).unwrap_or_else(|_| JsValue::from_str(error.message()))
}

fn to_js(value: &impl Serialize) -> Result<JsValue, JsValue> {
    serde_wasm_bindgen::to_value(value).map_err(JsValue::from)
}

/// Reads a small object; `undefined` and `null` stand for an empty one.
fn from_js<T: DeserializeOwned>(value: JsValue) -> Result<T, JsValue> {
    let value = if is_missing(&value) { Object::new().into() } else { value };
    serde_wasm_bindgen::from_value(value)
        .map_err(|error| thrown(Error::options(format!("the options can't be read: {error}"))))
}

fn is_missing(value: &JsValue) -> bool {
    value.is_undefined() || value.is_null()
}

fn set(object: &JsValue, name: &str, value: JsValue) -> Result<(), JsValue> {
    Reflect::set(object, &JsValue::from_str(name), &value).map(drop)
}

fn floats(values: impl Iterator<Item = f32>) -> JsValue {
    Float32Array::from(values.collect::<Vec<_>>().as_slice()).into()
}

fn reasons(reasons: &[Reason]) -> JsValue {
    Uint8Array::from(reasons.iter().map(|&reason| reason as u8).collect::<Vec<_>>().as_slice())
        .into()
}
