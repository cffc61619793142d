//! What detectors need of the training data beyond the class-conditional moments.
//!
//! [`Fit`] sees every training image once, in a stream, and makes the blocks of a stats file. Its
//! memory does not grow with the number of images. Only what the chosen detectors need is gathered:
//!
//! | detector | blocks | gathered as |
//! |---|---|---|
//! | `react` (and `+react`) | `react.quantiles` `[1001]` | histogram of all features |
//! | `opnp` | `opnp.sensitivity` `[K, D]` | mean of `p_i abs(h_j)` |
//! | `klm` | `klm.templates` `[K, K]` | mean probabilities by predicted class |
//! | `vra` | `vra.quantiles` `[21, D]` | sample of images |
//! | `knn` | `knn.bank.f16` `[n, D]` | sample of images |
//! | `mahalanobis` | `mahalanobis.whitening` `[r, D]` | second moments |
//! | `vim` | `vim.origin` `[D]`, `vim.residual` `[r, D]`, `vim.alpha` `[1]` | second moments, sample |
//!
//! The sample is all images up to [`SAMPLE`], and a random choice with a fixed seed from more:
//! the same images in the same order give the same file. All other detectors need nothing.

mod algebra;
mod histogram;
mod sample;

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayD, ArrayView1, Axis};

use crate::error::{Error, Result};
use crate::head::Head;
use crate::moments::Moments;
use crate::pruning::coarse::quantile_unsorted;
use crate::score::distance::unit;
use crate::score::logits::{argmax, softmax};
use crate::score::shaping::{REACT_LEVELS, VRA_LEVELS};
use crate::score::{self};
use histogram::Histogram;
use sample::Sample;

/// Most training images of which whole features are kept (`knn`, `vra`, `vim`).
pub const SAMPLE: usize = 5000;

/// Blocks by name.
pub type Blocks = BTreeMap<String, ArrayD<f32>>;

/// Gathers what the chosen detectors need.
pub struct Fit {
    head: Arc<Head>,
    react: Option<Histogram>,
    opnp: Option<Mean>,
    klm: Option<Templates>,
    sample: Option<Sample>,
    second: Option<algebra::SecondMoments>,
    max_logit: f64,
    images: u64,
    wanted: Vec<&'static str>,
}

/// The detectors that a [`Fit`] has something to gather for.
pub const DETECTORS: &[&str] = &["react", "opnp", "klm", "vra", "knn", "mahalanobis", "vim"];

/// Mean of `p_i |h_j|`.
struct Mean(Array2<f64>);

/// Sums of probabilities by predicted class, and how many.
struct Templates {
    sums: Array2<f64>,
    counts: Vec<u64>,
}

impl Fit {
    /// Gathers for the named detectors; `all` stands for every one. Names of detectors that need
    /// nothing are fine.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for an unknown name, otherwise nothing.
    pub fn new(head: &Arc<Head>, detectors: &[impl AsRef<str>]) -> Result<Self> {
        let mut wanted = Vec::new();
        for name in detectors.iter().map(AsRef::as_ref) {
            if name == "all" {
                wanted.extend(DETECTORS.iter().copied());
                continue;
            }
            if !score::names().any(|known| known == name) {
                return Err(Error::options(format!(
                    "there is no detector \"{name}\"; choose all, or some of {}",
                    score::names().collect::<Vec<_>>().join(", ")
                )));
            }
            for part in name.split('+') {
                let Some(part) = DETECTORS.iter().find(|known| **known == part) else { continue };
                wanted.push(*part);
            }
        }
        let any = |names: &[&str]| wanted.iter().any(|name| names.contains(name));
        let (classes, features) = head.weights().dim();
        Ok(Self {
            react: any(&["react"]).then(Histogram::default),
            opnp: any(&["opnp"]).then(|| Mean(Array2::zeros((classes, features)))),
            klm: any(&["klm"]).then(|| Templates {
                sums: Array2::zeros((classes, classes)),
                counts: vec![0; classes],
            }),
            sample: any(&["vra", "knn", "vim"]).then(|| Sample::new(SAMPLE, features)),
            second: any(&["mahalanobis", "vim"]).then(|| algebra::SecondMoments::new(features)),
            max_logit: 0.0,
            images: 0,
            head: head.clone(),
            wanted,
        })
    }

    /// Whether any detector was chosen that something is gathered for.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Adds a training image's features `[D]`.
    ///
    /// # Errors
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) for unusable features.
    pub fn push(&mut self, features: ArrayView1<f32>) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.head.check(features)?;
        self.images += 1;
        if let Some(histogram) = &mut self.react {
            features.iter().for_each(|&h| histogram.push(h));
        }
        if let Some(sample) = &mut self.sample {
            sample.push(features);
        }
        if let Some(second) = &mut self.second {
            second.push(features);
        }
        let logits = self.head.logits(features);
        let predicted = argmax(logits.view());
        self.max_logit += logits[predicted];
        if self.opnp.is_none() && self.klm.is_none() {
            return Ok(());
        }
        let probabilities = softmax(logits.view());
        if let Some(Mean(sums)) = &mut self.opnp {
            let norms = features.mapv(|h| f64::from(h.abs()));
            for (mut row, &p) in sums.rows_mut().into_iter().zip(&probabilities) {
                row.scaled_add(p, &norms);
            }
        }
        if let Some(templates) = &mut self.klm {
            let mut row = templates.sums.row_mut(predicted);
            row += &probabilities;
            templates.counts[predicted] += 1;
        }
        Ok(())
    }

    /// The blocks, for a stats file with these moments of the same images.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if there was no image, or if the covariance
    /// can't be decomposed.
    pub fn blocks(&self, moments: &Moments) -> Result<Blocks> {
        let mut blocks = Blocks::new();
        if self.is_empty() {
            return Ok(blocks);
        }
        if self.images == 0 {
            return Err(Error::data(
                "no training images: the detectors have nothing to learn from",
            ));
        }
        if let Some(histogram) = &self.react {
            let levels = (0..REACT_LEVELS).map(|at| at as f64 / (REACT_LEVELS - 1) as f64);
            let quantiles: Array1<f32> = levels.map(|level| histogram.quantile(level)).collect();
            blocks.insert("react.quantiles".to_owned(), quantiles.into_dyn());
        }
        if let Some(Mean(sums)) = &self.opnp {
            let mean = sums.mapv(|sum| (sum / self.images as f64) as f32);
            blocks.insert("opnp.sensitivity".to_owned(), mean.into_dyn());
        }
        if let Some(templates) = &self.klm {
            blocks.insert("klm.templates".to_owned(), templates.means().into_dyn());
        }
        if let Some(sample) = &self.sample {
            let rows = sample.rows();
            if self.wanted.contains(&"vra") {
                let mut quantiles = Array2::zeros((VRA_LEVELS, rows.ncols()));
                for (unit, values) in rows.axis_iter(Axis(1)).enumerate() {
                    let mut values: Vec<f64> = values.iter().map(|&h| f64::from(h)).collect();
                    for level in 0..VRA_LEVELS {
                        let at = level as f64 / (VRA_LEVELS - 1) as f64;
                        quantiles[(level, unit)] = quantile_unsorted(&mut values, at) as f32;
                    }
                }
                blocks.insert("vra.quantiles".to_owned(), quantiles.into_dyn());
            }
            if self.wanted.contains(&"knn") {
                let mut bank = rows.to_owned();
                for mut row in bank.rows_mut() {
                    let unit = unit(row.view());
                    row.assign(&unit);
                }
                blocks.insert("knn.bank.f16".to_owned(), bank.into_dyn());
            }
        }
        self.covariance_blocks(moments, &mut blocks)?;
        Ok(blocks)
    }

    fn covariance_blocks(&self, moments: &Moments, blocks: &mut Blocks) -> Result<()> {
        let Some(second) = &self.second else { return Ok(()) };
        if self.wanted.contains(&"mahalanobis") {
            let whitening = algebra::whitening(second, moments)?;
            blocks.insert("mahalanobis.whitening".to_owned(), whitening.into_dyn());
        }
        if self.wanted.contains(&"vim")
            && let Some(sample) = &self.sample
        {
            let mean_max_logit = self.max_logit / self.images as f64;
            let vim = algebra::vim(&self.head, second, sample.rows(), mean_max_logit)?;
            blocks.insert("vim.origin".to_owned(), vim.origin.into_dyn());
            blocks.insert("vim.residual".to_owned(), vim.residual.into_dyn());
            blocks.insert("vim.alpha".to_owned(), ndarray::arr1(&[vim.alpha]).into_dyn());
        }
        Ok(())
    }
}

impl Templates {
    /// Mean probabilities `[K, K]`; a class that was never predicted has its own corner.
    fn means(&self) -> Array2<f32> {
        let mut means = self.sums.mapv(|sum| sum as f32);
        for (class, mut row) in means.rows_mut().into_iter().enumerate() {
            match self.counts[class] {
                0 => row[class] = 1.0,
                n => row /= n as f32,
            }
        }
        means
    }
}
