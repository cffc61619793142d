//! What several integration tests share.

use std::path::Path;

use itp_ood::{FeatureDetector, Head, Moments, Options, Preprocess, Stats};
use ndarray::{Array1, Array2};
use safetensors::SafeTensors;

/// The contents of tests/golden/last_layer.{safetensors,json}.
pub struct Golden {
    file: Vec<u8>,
    /// Percentages, thresholds and metrics.
    pub json: serde_json::Value,
}

#[allow(dead_code, reason = "not every test uses every part")]
impl Golden {
    pub fn load() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let text = std::fs::read_to_string(folder.join("last_layer.json")).unwrap();
        Self {
            file: std::fs::read(folder.join("last_layer.safetensors")).unwrap(),
            json: serde_json::from_str(&text).unwrap(),
        }
    }

    pub fn p(&self) -> f64 {
        self.json["p"].as_f64().unwrap()
    }

    pub fn lambda(&self) -> f64 {
        self.json["lambda"].as_f64().unwrap()
    }

    pub fn options(&self) -> Options {
        Options::default().with("p", self.p()).unwrap().with("lambda", self.lambda()).unwrap()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        SafeTensors::deserialize(&self.file).unwrap().tensor(name).unwrap().data().to_vec()
    }

    fn shape(&self, name: &str) -> (usize, usize) {
        let file = SafeTensors::deserialize(&self.file).unwrap();
        let view = file.tensor(name).unwrap();
        (view.shape()[0], view.shape()[1])
    }

    pub fn i64s(&self, name: &str) -> Vec<i64> {
        self.bytes(name).as_chunks().0.iter().map(|b| i64::from_le_bytes(*b)).collect()
    }

    pub fn f64s(&self, name: &str) -> Vec<f64> {
        self.bytes(name).as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect()
    }

    pub fn f32s(&self, name: &str) -> Vec<f32> {
        self.bytes(name).as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }

    pub fn f64_matrix(&self, name: &str) -> Array2<f64> {
        Array2::from_shape_vec(self.shape(name), self.f64s(name)).unwrap()
    }

    pub fn f32_matrix(&self, name: &str) -> Array2<f32> {
        Array2::from_shape_vec(self.shape(name), self.f32s(name)).unwrap()
    }

    pub fn moments(&self) -> Moments {
        let mut moments = Moments::new(5, 24);
        let features = self.f32_matrix("train_features");
        for (row, label) in features.outer_iter().zip(self.i64s("train_labels")) {
            moments.push(label as usize, row).unwrap();
        }
        moments
    }

    pub fn head(&self) -> Head {
        Head::new(self.f32_matrix("weight"), Array1::from(self.f32s("bias"))).unwrap()
    }

    pub fn stats(&self) -> Stats {
        Stats::from_moments(&self.moments(), Preprocess::preset("cifar").unwrap()).unwrap()
    }

    pub fn detector(&self) -> FeatureDetector {
        FeatureDetector::new(self.head(), self.stats()).unwrap()
    }
}

/// Asserts that two numbers agree relative to the expected one.
#[allow(dead_code, reason = "not every test uses every part")]
pub fn close(found: f64, expected: f64, relative: f64, what: &str) {
    assert!(
        (found - expected).abs() <= relative * expected.abs().max(1e-3),
        "{what}: {found} is not {expected}"
    );
}
