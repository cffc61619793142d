//! A detector, with its model or on features alone.

use std::path::PathBuf;
use std::sync::Arc;

use itp_ood::info::DetectorInfo;
use itp_ood::tune::{TuneOptions, Tuner};
use itp_ood::{Error, FeatureDetector, Head, Info, Model, ModelOptions, Result, Stats};
use itp_ood_cli::file;
use ndarray::{Array1, Array2};
use numpy::{IntoPyArray, PyArray1, PyArray2, PyReadonlyArray1, PyReadonlyArray2};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::prelude::*;

use crate::input::{Held, Image, json, options, view};
use crate::raise::Raise;

/// A model with the files beside it.
pub fn load(path: &std::path::Path, stats: &Stats, output: Option<&str>) -> Result<Model> {
    with_files_beside(path, output, |onnx, options| Model::load_for_with(onnx, stats, options))
}

/// Loads an ONNX file, with weights in files beside it.
pub fn with_files_beside(
    path: &std::path::Path,
    output: Option<&str>,
    load: impl FnOnce(Vec<u8>, &ModelOptions) -> Result<Model>,
) -> Result<Model> {
    let beside = |name: &str| file::read(&path.parent()?.join(name)).ok();
    let options = ModelOptions { output, external_data: Some(&beside), ..ModelOptions::default() };
    load(file::read(path)?, &options).map_err(|error| error.context(path.display()))
}

/// Features of images, each on a thread of its own.
fn features_of(model: &Model, images: &[Held]) -> Result<Vec<Array1<f32>>> {
    let one = |(at, image): (usize, &Held)| {
        let features = image.pixels().and_then(|pixels| model.features(&view(&pixels)?));
        features.map_err(|error| match images.len() {
            1 => error,
            _ => error.context(format_args!("image {at}")),
        })
    };
    images.par_iter().enumerate().map(one).collect()
}

/// Features `[n, D]` of images, by the network, if there is one.
pub fn extract<'py>(
    py: Python<'py>,
    images: Vec<Image>,
    model: Result<&Model>,
    num_features: usize,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let images: Vec<Held> = images.into_iter().map(Held::new).collect::<Result<_>>().raise()?;
    let model = model.raise()?;
    let rows = py.detach(|| features_of(model, &images)).raise()?;
    Ok(stacked(&rows, num_features).into_pyarray(py))
}

/// What stands for the last layer where the logits are given, and nothing else.
pub fn logits_alone(classes: usize) -> Result<Head> {
    Head::opaque(classes, 0, "only the logits were given")
}

/// Rows `[n, D]`.
pub fn stacked(rows: &[Array1<f32>], columns: usize) -> Array2<f32> {
    let mut all = Array2::zeros((rows.len(), columns));
    all.rows_mut().into_iter().zip(rows).for_each(|(mut to, row)| to.assign(row));
    all
}

#[pyclass(frozen, module = "itp_ood._native")]
pub struct Detector {
    model: Option<Arc<Model>>,
    features: FeatureDetector,
}

impl Detector {
    fn model(&self) -> Result<&Model> {
        self.model.as_deref().ok_or_else(|| {
            Error::model(
                "this detector has a last layer and no network; give features, or make it from an ONNX \
                 file",
            )
        })
    }
}

#[pymethods]
impl Detector {
    #[new]
    #[pyo3(signature = (model, stats, output=None))]
    fn new(py: Python, model: PathBuf, stats: &[u8], output: Option<String>) -> PyResult<Self> {
        py.detach(|| -> Result<_> {
            let stats = Stats::from_bytes(stats)?;
            let model = Arc::new(load(&model, &stats, output.as_deref())?);
            let features = FeatureDetector::new(model.head().clone(), stats)?;
            Ok(Self { model: Some(model), features })
        })
        .raise()
    }

    /// A detector on features, from the last layer `[K, D]`, `[K]`.
    #[staticmethod]
    fn of_head(
        weight: PyReadonlyArray2<f32>,
        bias: PyReadonlyArray1<f32>,
        stats: &[u8],
    ) -> PyResult<Self> {
        let head = Head::new(weight.as_array().to_owned(), bias.as_array().to_owned());
        let features = head.and_then(|head| FeatureDetector::new(head, Stats::from_bytes(stats)?));
        Ok(Self { model: None, features: features.raise()? })
    }

    /// A detector on logits `[n, K]` alone.
    #[staticmethod]
    fn of_logits(classes: usize, stats: &[u8]) -> PyResult<Self> {
        let features = logits_alone(classes)
            .and_then(|head| FeatureDetector::new(head, Stats::from_bytes(stats)?));
        Ok(Self { model: None, features: features.raise()? })
    }

    /// The same with other statistics.
    fn with_stats(&self, stats: &[u8]) -> PyResult<Self> {
        let stats = Stats::from_bytes(stats).raise()?;
        if let Some(model) = &self.model {
            stats.check_hash(model.sha256()).raise()?;
        }
        let features = FeatureDetector::new(self.features.head().clone(), stats).raise()?;
        Ok(Self { model: self.model.clone(), features })
    }

    /// JSON of what is known of model and statistics.
    fn info(&self) -> PyResult<String> {
        let info = self.model().and_then(|model| Info::new(model, Some(&self.features)));
        info.and_then(|info| json(&info)).raise()
    }

    fn num_classes(&self) -> usize {
        self.features.head().num_classes()
    }

    fn num_features(&self) -> usize {
        self.features.head().num_features()
    }

    fn scores_available(&self) -> Vec<String> {
        self.features.scores_available()
    }

    /// Features `[n, D]` of images.
    fn extract<'py>(
        &self,
        py: Python<'py>,
        images: Vec<Image>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        extract(py, images, self.model(), self.num_features())
    }

    /// JSON of the detection of each row of features `[n, D]`.
    fn detect(
        &self,
        py: Python,
        features: PyReadonlyArray2<f32>,
        options_json: &str,
    ) -> PyResult<Vec<String>> {
        let (options, features) = (options(options_json).raise()?, features.as_array());
        py.detach(|| -> Result<_> {
            let rows = features.outer_iter().enumerate();
            rows.map(|(at, row)| {
                let found = self.features.detect(row, &options);
                found.and_then(|found| json(&found)).map_err(|error| match features.nrows() {
                    1 => error,
                    _ => error.context(format_args!("row {at}")),
                })
            })
            .collect::<Result<_>>()
        })
        .raise()
    }

    /// JSON of the explanation of one class, from features `[D]`.
    fn explain(
        &self,
        py: Python,
        features: PyReadonlyArray1<f32>,
        class: usize,
        options_json: &str,
    ) -> PyResult<String> {
        let (options, features) = (options(options_json).raise()?, features.as_array());
        let why = py.detach(|| self.features.explain(features, class, &options));
        why.and_then(|why| json(&why)).raise()
    }

    /// The score `[n]` of each row of features `[n, D]`.
    fn scores<'py>(
        &self,
        py: Python<'py>,
        features: PyReadonlyArray2<f32>,
        options_json: &str,
    ) -> PyResult<Bound<'py, PyArray1<f64>>> {
        /// Rows that a thread takes at a time.
        const ROWS: usize = 64;
        let (options, features) = (options(options_json).raise()?, features.as_array());
        let scores = py.detach(|| -> Result<_> {
            // Prepared once: the others wait for it, or would each prepare the same.
            let nothing = features.slice(ndarray::s![..0, ..]);
            self.features.scores(nothing, &options)?;
            let chunks: Vec<_> = features.axis_chunks_iter(ndarray::Axis(0), ROWS).collect();
            let scores: Vec<Vec<f64>> = chunks
                .par_iter()
                .enumerate()
                .map(|(at, rows)| {
                    let first = at * ROWS;
                    let scores = self.features.scores(rows.view(), &options);
                    scores.map_err(|error| error.context(format_args!("from row {first} on")))
                })
                .collect::<Result<_>>()?;
            Ok(scores.concat())
        });
        Ok(scores.raise()?.into_pyarray(py))
    }

    /// Sorted in-distribution scores under these options, `[n]`, if there are any.
    fn id_scores<'py>(
        &self,
        py: Python<'py>,
        options_json: &str,
    ) -> PyResult<Option<Bound<'py, PyArray1<f32>>>> {
        let options = options(options_json).raise()?;
        let scores = py.detach(|| self.features.id_scores(&options)).raise()?;
        Ok(scores.map(|scores| scores.into_pyarray(py)))
    }

    /// Tunes on images, with the class of each or none: the stats file, JSON and Markdown of the report.
    fn tune<'py>(
        &self,
        py: Python<'py>,
        images: Vec<Image>,
        classes: Vec<Option<usize>>,
        options_json: &str,
    ) -> PyResult<(Bound<'py, PyBytes>, String, String)> {
        let options: TuneOptions = serde_json::from_str(options_json)
            .map_err(|error| Error::options(format!("the options can't be read: {error}")))
            .raise()?;
        let images: Vec<Held> = images.into_iter().map(Held::new).collect::<Result<_>>().raise()?;
        let done = py.detach(|| -> Result<_> {
            let model = self.model()?;
            let mut tuner = Tuner::new(model, self.features.stats().clone(), options)?;
            let features = features_of(model, &images)?;
            for (at, (class, row)) in classes.iter().zip(&features).enumerate() {
                tuner.add_holdout(at, *class, row.view())?;
            }
            let resized = |at: usize| model.preprocess().resized(&view(&*images[at].pixels()?)?);
            let tasks = tuner.tasks()?;
            let made = tasks.par_iter().map(|task| {
                let partner = task.partner.map(resized).transpose()?;
                model.features_of_resized(&task.make(&resized(task.image)?, partner.as_ref())?)
            });
            let made: Vec<Result<Array1<f32>>> = made.collect();
            for (task, made) in tasks.iter().zip(made) {
                match made {
                    Ok(row) => tuner.add(task, row.view())?,
                    Err(error) if error.kind() == itp_ood::ErrorKind::Features => {}
                    Err(error) => return Err(error),
                }
            }
            let (stats, report) = tuner.finish()?;
            Ok((stats.to_bytes()?, report.to_json(), report.to_markdown()))
        });
        let (stats, report, markdown) = done.raise()?;
        Ok((PyBytes::new(py, &stats), report, markdown))
    }

    /// The stats file.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.features.stats().to_bytes().raise()?))
    }
}

/// JSON of every post-hoc detector, with defaults for a number of classes.
#[pyfunction]
pub fn registry(classes: usize) -> PyResult<String> {
    json(&DetectorInfo::all(classes)).raise()
}
