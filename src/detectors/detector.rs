//! What a post-hoc detector is: the trait that each file of this folder implements.

use std::any::Any;
use std::sync::{Arc, OnceLock};

use ndarray::{Array1, ArrayView1, ArrayView2};

use super::gather::{Gatherer, Needs, Training};
use super::hyperparameters::{Hyperparameter, Scale};
use crate::error::{Error, ErrorKind, Result};
use crate::head::Head;
use crate::pruning::Pruning;
use crate::settings::Settings;
use crate::stats::{Stats, Tensors};

/// A detector of the registry.
///
/// It is one of four things, and implements the method of that thing: a function of the logits
/// ([`PostHocDetector::logit_score`]), a change of the features ([`PostHocDetector::shape`]) or of
/// the head ([`PostHocDetector::pruned_head`]), both rated by energy, or something else
/// ([`PostHocDetector::score`]). The first three can be combined with one another.
pub trait PostHocDetector: Sync {
    /// Its name, documentation, hyperparameters and tensors.
    fn about(&self) -> About;

    /// Rates an image by its logits.
    ///
    /// # Errors
    /// As [`Context::value`] and [`Stats::tensor`], here and below.
    fn logit_score(&self, _context: &Context) -> Result<Option<LogitScore>> {
        Ok(None)
    }

    /// Reshapes an image's features; as a modifier, `X+NAME`, before X sees them.
    fn shape(&self, _context: &Context) -> Result<Option<Box<dyn Shape>>> {
        Ok(None)
    }

    /// Leaves out weights of the head; as a modifier, `X+NAME`, X rates the logits that are left.
    fn pruned_head(&self, _context: &Context) -> Result<Option<Box<dyn PrunedHead>>> {
        Ok(None)
    }

    /// Rates an image by its features and logits.
    fn score(&self, _context: &Context) -> Result<Option<Box<dyn Score>>> {
        Ok(None)
    }

    /// Its score on a head that another detector prunes, where that is more than its
    /// [`PostHocDetector::logit_score`] of the pruned logits.
    fn score_pruned(
        &self,
        _context: &Context,
        _head: Box<dyn PrunedHead>,
    ) -> Result<Option<Box<dyn Score>>> {
        Ok(None)
    }

    /// Which of the shared summaries of the training features it is fitted from.
    fn needs(&self) -> Needs {
        Needs::default()
    }

    /// What it gathers from training images beyond those.
    fn gatherer(&self, _head: &Head) -> Option<Box<dyn Gatherer>> {
        None
    }

    /// Its tensors, from all training images; `own` is its gatherer.
    fn fit(&self, _training: &Training, _own: Option<&dyn Any>) -> Result<Tensors> {
        Ok(Tensors::new())
    }

    /// What it takes from held-out in-distribution images.
    fn fit_holdout(&self, _holdout: &Holdout) -> Result<Fitted> {
        Ok(Fitted::default())
    }
}

/// What the documentation says of a detector.
#[derive(Debug, Clone, Copy, Default)]
pub struct About {
    /// Its name in options, files and tables.
    pub name: &'static str,
    /// Its name in publications.
    pub title: &'static str,
    /// What it computes, in one sentence for people.
    pub summary: &'static str,
    /// Publication and code.
    pub reference: &'static str,
    /// The score in one line.
    pub formula: &'static str,
    /// What it reads of the model and of the training images, beyond its own tensors.
    pub inputs: &'static [Input],
    /// Its hyperparameters.
    pub hyperparameters: &'static [Hyperparameter],
    /// What tuning tries for them, and for those of other detectors that it reads.
    pub tried: &'static [Tried],
    /// Its tensors in the stats file.
    pub tensors: &'static [TensorSpec],
    /// The combinations that publications report, such as `react` for `dice+react`. Others work as
    /// well, but are not listed.
    pub combinations: &'static [&'static str],
    /// Part of combinations only.
    pub only_combined: bool,
}

/// Values of a hyperparameter that tuning tries, the gentlest first: of equally good ones the first is
/// picked.
#[derive(Debug, Clone, Copy)]
pub struct Tried {
    /// The hyperparameter.
    pub of: &'static Hyperparameter,
    /// Finite values in its range.
    pub values: &'static [f64],
}

/// What a detector reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The logits `[K]`, whatever makes them.
    Logits,
    /// The features `[D]` of the last layer.
    Features,
    /// The weights and the bias of a linear last layer, and with them features and logits.
    Head,
    /// Class-conditional means and deviations of the features.
    Moments,
}

impl Input {
    /// Its name in documentation and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits => "logits",
            Self::Features => "features",
            Self::Head => "head",
            Self::Moments => "moments",
        }
    }
}

impl About {
    /// Why a model with this last layer can't be rated; `None` if it can.
    pub fn obstacle(&self, head: &Head) -> Option<&'static str> {
        if head.is_linear() {
            None
        } else if self.inputs.contains(&Input::Head) {
            Some("it needs the weights of a linear last layer, and this model's isn't linear")
        } else if self.inputs.contains(&Input::Features) && head.num_penultimate() == 0 {
            Some("it needs the features of one last layer with weights, and this model has none")
        } else {
            None
        }
    }

    /// Names of the published combinations, such as `dice+react`.
    pub fn combined_names(&self) -> impl Iterator<Item = String> + use<> {
        let Self { name, combinations, .. } = *self;
        combinations.iter().map(move |with| format!("{name}+{with}"))
    }
}

/// A tensor of the stats file.
#[derive(Debug, Clone, Copy)]
pub struct TensorSpec {
    /// Its name; with the ending `.f16` it is stored in half precision.
    pub name: &'static str,
    /// Its shape, with K classes, D features, n images and r dimensions of a subspace.
    pub shape: &'static str,
    /// What it holds.
    pub meaning: &'static str,
}

/// Rates images from the features `[D]` and the unpruned logits `[K]` that follow from them.
pub trait Score: Send + Sync {
    /// Higher = more in-distribution. Features and logits must be finite and of the right length
    /// ([`Head::check`]).
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64;

    /// Rates images by their features `[n, D]` and logits `[n, K]`, each as [`Score::score`] does to the last bit.
    fn scores(&self, features: ArrayView2<f32>, logits: ArrayView2<f64>) -> Vec<f64> {
        let rows = features.outer_iter().zip(logits.outer_iter());
        rows.map(|(features, logits)| self.score(features, logits)).collect()
    }

    /// Derivatives of the score with respect to the features, `[D]`, if there is something better than
    /// differences. What is pruned for these features stays pruned.
    fn gradient(&self, _head: &Head, _features: ArrayView1<f32>) -> Option<Array1<f32>> {
        None
    }
}

/// A function of the logits `[K]`.
pub type LogitScore = Box<dyn Fn(ArrayView1<f64>) -> f64 + Send + Sync>;

/// A change of the features `[D]`.
pub trait Shape: Send + Sync {
    /// Changes them in place.
    fn apply(&self, features: &mut [f32]);
}

/// A head of which weights are left out, for every image or for this one.
pub trait PrunedHead: Send + Sync {
    /// The logits `[K]` of features `[D]`; the bias is never pruned.
    fn logits(&self, features: ArrayView1<f32>) -> Array1<f64>;

    /// For each class the 1-norm of the features that its kept weights read, `[D]` to `[K]`.
    fn kept_norms(&self, context: &Context) -> KeptNorms;

    /// Derivatives with respect to the features, `[D]`, of a number whose derivatives with respect to
    /// the logits are `[K]`. What is pruned for these features stays pruned.
    fn pull_back(&self, features: ArrayView1<f32>, of_logits: ArrayView1<f64>) -> Array1<f32>;
}

/// See [`PrunedHead::kept_norms`].
pub type KeptNorms = Box<dyn Fn(ArrayView1<f32>) -> Array1<f64> + Send + Sync>;

/// What the scores are built from.
pub struct Context<'a> {
    /// The model's last layer.
    pub head: &'a Arc<Head>,
    /// Statistics of the training data.
    pub stats: &'a Stats,
    /// Resolved settings: of the call, or else of the stats file.
    pub settings: &'a Settings,
    /// The pruning for these settings, once a score has needed it: all that need one share it.
    pub(crate) pruning: &'a OnceLock<Arc<Pruning>>,
    /// A pruning of the same head and statistics for other settings, to begin from.
    pub(crate) earlier: Option<&'a Pruning>,
}

impl Context<'_> {
    /// A hyperparameter's value: of the settings, or else of the stats file's tensors, or else its
    /// default.
    ///
    /// # Errors
    /// [`ErrorKind::Stats`] if the file's value is outside its range, or if there is none.
    pub fn value(&self, hyperparameter: &Hyperparameter) -> Result<f64> {
        self.optional(hyperparameter)?
            .ok_or_else(|| Error::stats(format!("{} has no value; give one", hyperparameter.name)))
    }

    /// As [`Context::value`], for one that may be unset.
    ///
    /// # Errors
    /// As [`Context::value`].
    pub fn optional(&self, hyperparameter: &Hyperparameter) -> Result<Option<f64>> {
        resolve(hyperparameter, self.settings, self.stats)
    }
}

/// See [`Context::optional`].
pub(crate) fn resolve(
    hyperparameter: &Hyperparameter,
    settings: &Settings,
    stats: &Stats,
) -> Result<Option<f64>> {
    if let Some(value) = settings.get(hyperparameter.name) {
        return Ok(Some(value));
    }
    let Some(tensor) = stats.find_tensor(hyperparameter.name) else {
        let scale = Scale::of(stats.num_classes());
        return Ok(hyperparameter.default.map(|default| default.at(scale)));
    };
    let value = tensor.first().map_or(f64::NAN, |&value| f64::from(value));
    hyperparameter.check(value, ErrorKind::Stats).map(Some)
}

/// What a cell holds; made now if it is empty. (The standard library's own is not stable.)
pub(crate) fn once<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}

/// Held-out in-distribution images.
pub struct Holdout<'a> {
    /// Head, statistics and settings.
    pub context: Context<'a>,
    /// Their features, `[n, D]`.
    pub features: ArrayView2<'a, f32>,
}

/// What a detector takes from held-out images.
#[derive(Debug, Default)]
pub struct Fitted {
    /// Tensors for the stats file.
    pub tensors: Tensors,
    /// Hyperparameters, unless the settings have them.
    pub hyperparameters: Vec<(&'static str, f64)>,
}
