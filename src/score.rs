//! Scores: one number for each image, higher = more in-distribution.
//!
//! A score is built once for a head, its statistics and the settings ([`build`]), and then rates
//! any number of images from their features alone. Names are those of the paper's tables:
//! a base score (`msp`, `mls`, `energy`, ...), or one with a modification of the last layer
//! (`msp+itp`, `itp+react`, ...). Formulas and constants: docs/method.md.

pub mod constants;
pub mod distance;
pub mod gradnorm;
pub mod held;
pub mod logits;
pub mod masked;
pub mod shaping;

use std::sync::{Arc, OnceLock};

use ndarray::{Array1, ArrayView1};

use crate::error::{Error, Result};
use crate::head::Head;
use crate::pruning::{Pruning, Variant};
use crate::settings::Settings;
use crate::stats::Stats;
use shaping::{Ash, Shape, Shaped};

/// Rates images from the features `[D]` and the unpruned logits `[K]` that follow from them.
pub trait Score: Send + Sync {
    /// Higher = more in-distribution. Features and logits must be finite and of the right length
    /// ([`Head::check`]).
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64;
}

/// What the scores are built from.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The model's last layer.
    pub head: &'a Arc<Head>,
    /// Statistics of the training data.
    pub stats: &'a Stats,
    /// p, lambda, temperature and the rest.
    pub settings: &'a Settings,
    /// The pruning for these settings, once a score has needed it: all that need one share it.
    pub pruning: &'a OnceLock<Arc<Pruning>>,
    /// A pruning of the same head and statistics for other settings, to begin from.
    pub earlier: Option<&'a Pruning>,
}

impl Context<'_> {
    /// The pruning with the settings' p and lambda.
    ///
    /// # Errors
    /// As [`Pruning::new`].
    pub fn pruning(&self) -> Result<Arc<Pruning>> {
        let Settings { p, lambda, .. } = *self.settings;
        let make = || Pruning::after(self.earlier, self.head, self.stats, p, lambda).map(Arc::new);
        once(self.pruning, make).cloned()
    }
}

/// What a cell holds; made now if it is empty. (The standard library's own is not stable.)
pub(crate) fn once<T>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(made) = cell.get() {
        return Ok(made);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}

type Builder = fn(Context) -> Result<Box<dyn Score>>;

/// Every score by name, in the order in which tables list them.
const SCORES: &[(&str, Builder)] = &[
    ("msp", |c| on_logits(c, logits::msp, Variant::Plain)),
    ("odin", |c| on_logits(c, logits::odin, Variant::Plain)),
    ("mls", |c| on_logits(c, logits::mls, Variant::Plain)),
    ("energy", |c| on_logits(c, logits::energy, Variant::Plain)),
    ("gradnorm", gradnorm::gradnorm),
    ("klm", distance::klm),
    ("knn", distance::knn),
    ("mahalanobis", distance::mahalanobis),
    ("vim", distance::vim),
    ("react", |c| shaped(c, Shape::react(c)?, energy)),
    ("bats", |c| shaped(c, Shape::bats(c)?, energy)),
    ("laps", |c| shaped(c, Shape::laps(c)?, energy)),
    ("vra", |c| shaped(c, Shape::vra(c)?, energy)),
    ("ash_p", |c| shaped(c, Shape::ash(c, Ash::Prune)?, energy)),
    ("ash_b", |c| shaped(c, Shape::ash(c, Ash::Binary)?, energy)),
    ("ash_s", |c| shaped(c, Shape::ash(c, Ash::Scale)?, energy)),
    ("scale", |c| shaped(c, Shape::scale(c)?, energy)),
    ("dice", masked::dice),
    ("opnp", masked::opnp),
    ("dice+react", |c| shaped(c, Shape::react(c)?, masked::dice)),
    ("opnp+react", |c| shaped(c, Shape::react(c)?, masked::opnp)),
    ("line", masked::line),
    ("crp", |c| on_logits(c, logits::energy, Variant::Crp)),
    ("ftp", |c| on_logits(c, logits::energy, Variant::Ftp)),
    ("itp", itp),
    ("itp+react", |c| shaped(c, Shape::react(c)?, itp)),
    ("msp+itp", |c| on_logits(c, logits::msp, Variant::Itp)),
    ("odin+itp", |c| on_logits(c, logits::odin, Variant::Itp)),
    ("mls+itp", |c| on_logits(c, logits::mls, Variant::Itp)),
    ("gradnorm+itp", gradnorm::with_itp),
    ("gradnorm_leaf+itp", gradnorm::with_itp_leaf),
    ("held", held::held),
    ("held_t", held::held_t),
    ("cadref", held::cadref),
];

fn energy(context: Context) -> Result<Box<dyn Score>> {
    on_logits(context, logits::energy, Variant::Plain)
}

fn itp(context: Context) -> Result<Box<dyn Score>> {
    on_logits(context, logits::energy, Variant::Itp)
}

fn shaped(context: Context, shape: Shape, inner: Builder) -> Result<Box<dyn Score>> {
    Ok(Box::new(Shaped::new(context, shape, inner(context)?)))
}

/// The names of all scores.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCORES.iter().map(|&(name, _)| name)
}

/// Builds the score that `context.settings.score` names.
///
/// # Errors
/// [`ErrorKind::Options`](crate::ErrorKind::Options) for an unknown name,
/// [`ErrorKind::Stats`](crate::ErrorKind::Stats) if the stats file lacks what the score needs.
pub fn build(context: Context) -> Result<Box<dyn Score>> {
    let name = &context.settings.score;
    match SCORES.iter().find(|(known, _)| known == name) {
        Some((_, build)) => build(context),
        None => Err(Error::options(format!(
            "there is no score \"{name}\"; choose one of {}",
            names().collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// A score of the logits alone, pruned or not.
struct OnLogits {
    /// What prunes, with the head it belongs to; `None` for the model's own logits.
    pruning: Option<(Arc<Pruning>, Arc<Head>, Variant)>,
    rate: fn(ArrayView1<f64>, f64) -> f64,
    temperature: f64,
}

fn on_logits(
    context: Context,
    rate: fn(ArrayView1<f64>, f64) -> f64,
    variant: Variant,
) -> Result<Box<dyn Score>> {
    let pruning = if variant == Variant::Plain {
        None
    } else {
        Some((context.pruning()?, context.head.clone(), variant))
    };
    Ok(Box::new(OnLogits { pruning, rate, temperature: context.settings.temperature }))
}

impl Score for OnLogits {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        match &self.pruning {
            None => (self.rate)(logits, self.temperature),
            Some((pruning, head, variant)) => {
                let pruned: Array1<f64> = pruning.logits(head, features, *variant);
                (self.rate)(pruned.view(), self.temperature)
            }
        }
    }
}
