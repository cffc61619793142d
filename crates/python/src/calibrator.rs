//! A calibrator: training images' features in, a stats file or a partial out.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use itp_ood::calibration::{self, Calibrator as Core};
use itp_ood::{Error, Head, Model, Result};
use ndarray::Axis;
use numpy::{IntoPyArray, PyArray2, PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray4};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::detector::{extract, logits_alone, stacked, with_files_beside};
use crate::input::{Image, options, read_preprocess};
use crate::raise::Raise;

#[pyclass(frozen, module = "itp_ood._native")]
pub struct Calibrator {
    model: Option<Arc<Model>>,
    core: Mutex<Core>,
}

impl Calibrator {
    fn core(&self) -> MutexGuard<'_, Core> {
        // A panic elsewhere can't leave it half-changed in a way that matters: it is counted or not.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn model(&self) -> Result<&Model> {
        self.model.as_deref().ok_or_else(|| {
            Error::model("this calibrator has no network; give features instead of images")
        })
    }

    fn new(model: Option<Arc<Model>>, core: Core) -> Self {
        Self { model, core: Mutex::new(core) }
    }
}

/// Classes as whole numbers from 0 on.
fn classes(classes: &PyReadonlyArray1<i64>) -> Result<Vec<usize>> {
    let class = |&class: &i64| {
        usize::try_from(class)
            .map_err(|_| Error::features(format!("class {class} given; classes count from 0")))
    };
    classes.as_array().iter().map(class).collect()
}

#[pymethods]
impl Calibrator {
    /// For the images of a model.
    #[staticmethod]
    #[pyo3(signature = (model, preprocess, labels=None, output=None))]
    fn of_model(
        py: Python,
        model: PathBuf,
        preprocess: &str,
        labels: Option<Vec<String>>,
        output: Option<String>,
    ) -> PyResult<Self> {
        py.detach(|| -> Result<_> {
            let preprocess = read_preprocess(preprocess)?;
            let model = with_files_beside(&model, output.as_deref(), |onnx, options| {
                Model::load_with(onnx, preprocess, options)
            })?;
            let labels = labels.unwrap_or_else(|| numbered(model.head().num_classes()));
            let core = Core::new(&model, labels)?;
            Ok(Self::new(Some(Arc::new(model)), core))
        })
        .raise()
    }

    /// For features, and the last layer `[K, D]`, `[K]`.
    #[staticmethod]
    #[pyo3(signature = (weight, bias, preprocess, labels=None))]
    fn of_head(
        weight: PyReadonlyArray2<f32>,
        bias: PyReadonlyArray1<f32>,
        preprocess: &str,
        labels: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let head = Head::new(weight.as_array().to_owned(), bias.as_array().to_owned());
        let core = head.and_then(|head| {
            let labels = labels.unwrap_or_else(|| numbered(head.num_classes()));
            Core::from_head(head, read_preprocess(preprocess)?, labels)
        });
        Ok(Self::new(None, core.raise()?))
    }

    /// For logits `[n, K]` alone.
    #[staticmethod]
    fn of_logits(classes: usize, preprocess: &str) -> PyResult<Self> {
        let core = logits_alone(classes).and_then(|head| {
            Core::from_head(head, read_preprocess(preprocess)?, numbered(classes))
        });
        Ok(Self::new(None, core.raise()?))
    }

    /// From a partial, with the model where images are to be added.
    #[staticmethod]
    fn of_partial(py: Python, bytes: &[u8]) -> PyResult<Self> {
        let core = py.detach(|| Core::from_partial(bytes)).raise()?;
        Ok(Self::new(None, core))
    }

    fn learn(&self, detectors: Vec<String>) -> PyResult<()> {
        self.core().learn(&detectors).raise()
    }

    fn set_part(&self, name: String) {
        self.core().set_part(name);
    }

    fn parts(&self) -> Vec<String> {
        self.core().parts().map(str::to_owned).collect()
    }

    fn missing_parts(&self) -> Vec<String> {
        self.core().missing_parts()
    }

    fn labels(&self) -> Vec<String> {
        self.core().labels().to_vec()
    }

    fn num_features(&self) -> usize {
        self.core().head().num_features()
    }

    fn counts(&self) -> Vec<u64> {
        self.core().counts().to_vec()
    }

    fn num_holdout(&self) -> usize {
        self.core().holdout().nrows()
    }

    fn warnings(&self) -> Vec<String> {
        self.core().warnings()
    }

    /// Weight `[K, D]` of the last layer.
    fn weight<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray2<f32>> {
        self.core().head().weights().clone().into_pyarray(py)
    }

    /// Features `[n, D]` of images.
    fn extract<'py>(
        &self,
        py: Python<'py>,
        images: Vec<Image>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        extract(py, images, self.model(), self.num_features())
    }

    /// Features `[n, D]` of normalised inputs `[n, C, H, W]`, past the preprocessing.
    fn run<'py>(
        &self,
        py: Python<'py>,
        inputs: PyReadonlyArray4<f32>,
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let inputs = inputs.as_array();
        let rows = py.detach(|| -> Result<_> {
            let backbone = self.model()?.backbone();
            let one = |input| backbone.features(input).map_err(Error::from);
            inputs.axis_chunks_iter(Axis(0), 1).map(one).collect::<Result<Vec<_>>>()
        });
        Ok(stacked(&rows.raise()?, self.num_features()).into_pyarray(py))
    }

    /// Adds features `[n, D]` of training images to their classes `[n]`.
    fn update(
        &self,
        py: Python,
        features: PyReadonlyArray2<f32>,
        labels: PyReadonlyArray1<i64>,
    ) -> PyResult<()> {
        let (labels, features) = (classes(&labels).raise()?, features.as_array());
        py.detach(|| self.core().add_all(&labels, features)).raise()
    }

    /// Adds features `[n, D]` of held-out images, with their places among all of them.
    #[pyo3(signature = (features, places=None))]
    fn update_holdout(
        &self,
        py: Python,
        features: PyReadonlyArray2<f32>,
        places: Option<Vec<u64>>,
    ) -> PyResult<()> {
        let features = features.as_array();
        if places.as_ref().is_some_and(|places| places.len() != features.nrows()) {
            return Err(Error::features("give one place for each held-out image")).raise();
        }
        py.detach(|| -> Result<_> {
            let mut core = self.core();
            features.outer_iter().enumerate().try_for_each(|(at, row)| {
                let added = match &places {
                    Some(places) => core.add_holdout_at(places[at], row),
                    None => core.add_holdout(row),
                };
                added.map_err(|error| error.context(format_args!("row {at}")))
            })
        })
        .raise()
    }

    fn set_hyperparameter(&self, name: &str, value: f64) -> PyResult<()> {
        self.core().set_hyperparameter(name, value).raise()
    }

    fn merge(&self, py: Python, other: &Self) -> PyResult<()> {
        if std::ptr::eq(self, other) {
            return Err(Error::data("a calibrator can't be merged with itself")).raise();
        }
        py.detach(|| self.core().merge(&other.core())).raise()
    }

    /// The stats file.
    fn finish<'py>(&self, py: Python<'py>, options_json: &str) -> PyResult<Bound<'py, PyBytes>> {
        let options = options(options_json).raise()?;
        let stats = py.detach(|| self.core().finish(&options)?.to_bytes()).raise()?;
        Ok(PyBytes::new(py, &stats))
    }

    /// A partial.
    fn to_partial<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &py.detach(|| self.core().to_partial()).raise()?))
    }
}

fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|class| format!("class {class}")).collect()
}

/// Which of the images with these classes `[n]` to hold back.
#[pyfunction]
pub fn hold_back<'py>(
    py: Python<'py>,
    labels: PyReadonlyArray1<i64>,
    seed: u64,
) -> PyResult<Bound<'py, numpy::PyArray1<bool>>> {
    let labels = classes(&labels).raise()?;
    Ok(calibration::hold_back(&labels, seed).into_pyarray(py))
}
