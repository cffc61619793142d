//! Settings from in-distribution images alone: p and lambda of ITP, ReAct's clip, HELD's lambda
//! and the weight of T.
//!
//! Out-of-distribution images are what a user doesn't have, so sixteen kinds of them are made from
//! held-out images ([`pseudo`]). Every setting of a grid is rated by its AUROC of the held-out
//! images against each kind, and one of two rules picks ([`Rule`]). A kind counts by how much it
//! changes the model's label: one that keeps it is in-distribution. Of ITP, no setting is written that
//! is rated below Energy.
//!
//! The caller brings the pixels, one image at a time, and runs the model, so that a command line
//! can do so in parallel and a browser between two frames:
//!
//! ```no_run
//! # use itp_ood::{Model, Pixels, Result, Stats};
//! # use itp_ood::tune::{TuneOptions, Tuner};
//! # fn load(_image: usize) -> Result<Pixels> { unimplemented!() }
//! # fn run(model: &Model, stats: Stats, classes: &[usize]) -> Result<()> {
//! let features = |pixels: &Pixels| model.features_of_resized(pixels);
//! let mut tuner = Tuner::new(model, stats, TuneOptions::default())?;
//! for (image, &class) in classes.iter().enumerate() {
//!     tuner.add_holdout(image, Some(class), features(&load(image)?)?.view())?;
//! }
//! for task in tuner.tasks()? {
//!     // Resized and cropped, as the model sees them.
//!     let partner = task.partner.map(load).transpose()?;
//!     let pixels = task.make(&load(task.image)?, partner.as_ref())?;
//!     tuner.add(&task, features(&pixels)?.view())?;
//! }
//! let (stats, report) = tuner.finish()?;
//! # Ok(())
//! # }
//! ```

pub mod candidates;
mod choice;
mod finish;
mod leave_out;
mod others;
pub mod pseudo;
mod rating;
pub mod report;
mod rule;
mod setting;
mod spectrum;
mod task;
mod weights;

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::ArrayView1;
use serde::Deserialize;

use crate::detectors::detector::resolve;
use crate::detectors::energy::TEMPERATURE;
use crate::error::{Error, Result};
use crate::head::Head;
#[cfg(feature = "onnx")]
use crate::model::Model;
use crate::numeric::logits;
use crate::stats::Stats;
pub use choice::Choice;
use pseudo::{Kind, below, shuffle};
pub use rule::Rule;
pub use setting::Setting;
pub use task::PseudoOodTask;
use task::rng;
use weights::Weights;

/// Fewer held-out images than this earn a warning.
pub const FEW_IMAGES: usize = 500;

/// What to tune with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "TunerOptions"))]
pub struct TuneOptions {
    /// The same seed and images give the same pseudo-OOD images, natively and in the browser.
    pub seed: u64,
    /// Pseudo-OOD images of each kind, 1 or more; 100 suffice.
    pub per_kind: usize,
    /// The rule whose picks are written.
    pub rule: Rule,
    /// Whether the score is chosen, too.
    pub detector: Choice,
    /// The held-out images are among those that the model was trained on.
    pub trained_on: bool,
}

impl Default for TuneOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            per_kind: 100,
            rule: Rule::default(),
            detector: Choice::default(),
            trained_on: false,
        }
    }
}

struct HeldOut {
    class: usize,
    features: Vec<f32>,
}

struct Made {
    /// The class of what it was made of.
    class: usize,
    features: Vec<f32>,
}

/// Collects the features of held-out and pseudo-OOD images, and picks the settings.
pub struct Tuner {
    head: Arc<Head>,
    stats: Stats,
    options: TuneOptions,
    /// By the caller's number, so that the order in which they came doesn't matter.
    holdout: BTreeMap<usize, HeldOut>,
    /// How many of them came without a class.
    unlabelled: usize,
    made: BTreeMap<(Kind, u32), Made>,
}

impl Tuner {
    /// Starts tuning `stats`, which must be those of `model`.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if the statistics are of another model,
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for 0 images of a kind, or a model whose
    /// last layer isn't linear.
    #[cfg(feature = "onnx")]
    pub fn new(model: &Model, stats: Stats, options: TuneOptions) -> Result<Self> {
        stats.check_hash(model.sha256())?;
        Self::from_head(model.head().clone(), stats, options)
    }

    /// As [`Tuner::new`], for features that come from elsewhere.
    ///
    /// # Errors
    /// As [`Tuner::new`].
    pub fn from_head(head: Arc<Head>, stats: Stats, options: TuneOptions) -> Result<Self> {
        head.check_linear("tuning")?;
        stats.check_head(&head)?;
        if options.per_kind == 0 {
            return Err(Error::options("0 pseudo-OOD images of each kind; 100 are usual"));
        }
        Ok(Self {
            head,
            stats,
            options,
            holdout: BTreeMap::new(),
            unlabelled: 0,
            made: BTreeMap::new(),
        })
    }

    /// Adds the features `[D]` of a held-out image: in-distribution, not trained on. `image` is
    /// the caller's number for it, `class` its row in the last layer; without one, the predicted
    /// class is taken.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) for an unknown class,
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) for unusable features.
    pub fn add_holdout(
        &mut self,
        image: usize,
        class: Option<usize>,
        features: ArrayView1<f32>,
    ) -> Result<()> {
        self.head.check(features)?;
        if let Some(class) = class.filter(|&class| class >= self.head.num_classes()) {
            return Err(Error::data(format!(
                "image {image} is of class {class}, but the model has {} classes, from 0",
                self.head.num_classes()
            )));
        }
        self.unlabelled += usize::from(class.is_none());
        let class = class.unwrap_or_else(|| logits::argmax(self.head.logits(features).view()));
        self.holdout.insert(image, HeldOut { class, features: features.to_vec() });
        Ok(())
    }

    /// The pseudo-OOD images to make of the held-out images so far, kind by kind; classes take
    /// turns. Fewer than asked for where there are fewer held-out images.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if the held-out images are of fewer than two
    /// classes: three kinds mix images of two.
    pub fn tasks(&self) -> Result<Vec<PseudoOodTask>> {
        let by_class = self.by_class();
        if by_class.len() < 2 {
            return Err(Error::data(format!(
                "the held-out images are of {} class(es); give images of at least two, because \
                 some pseudo-OOD images mix two classes",
                by_class.len()
            )));
        }
        let order = self.round_robin(&by_class);
        let number = self.options.per_kind.min(order.len());
        let mut tasks = Vec::with_capacity(number * Kind::ALL.len());
        for kind in Kind::ALL {
            for position in 0..number {
                // Each kind goes on where the last one stopped: more images are seen.
                let image = order[(kind as usize * number + position) % order.len()];
                let mut task = PseudoOodTask {
                    kind,
                    image,
                    partner: None,
                    position: position as u32,
                    seed: self.options.seed,
                };
                if kind.needs_partner() {
                    task.partner = Some(self.partner(&task, &by_class));
                }
                tasks.push(task);
            }
        }
        Ok(tasks)
    }

    /// Numbers of images by class.
    fn by_class(&self) -> BTreeMap<usize, Vec<usize>> {
        let mut by_class = BTreeMap::<usize, Vec<usize>>::new();
        for (&image, held_out) in &self.holdout {
            by_class.entry(held_out.class).or_default().push(image);
        }
        by_class
    }

    /// All images: one of each class, then the next of each class, and so on; shuffled within
    /// their class.
    fn round_robin(&self, by_class: &BTreeMap<usize, Vec<usize>>) -> Vec<usize> {
        let mut rng = rng(self.options.seed, 0);
        let mut shuffled: Vec<Vec<usize>> = by_class.values().cloned().collect();
        for images in &mut shuffled {
            shuffle(images, &mut rng);
        }
        let longest = shuffled.iter().map(Vec::len).max().unwrap_or(0);
        (0..longest)
            .flat_map(|turn| shuffled.iter().filter_map(move |images| images.get(turn).copied()))
            .collect()
    }

    fn partner(&self, task: &PseudoOodTask, by_class: &BTreeMap<usize, Vec<usize>>) -> usize {
        // A stream of its own, so that the image's own randomness stays the same.
        let stream = (1 << 63) + ((task.kind as u64) << 32) + u64::from(task.position);
        let mut rng = rng(task.seed, stream);
        let own = self.holdout[&task.image].class;
        let others: Vec<&Vec<usize>> =
            by_class.iter().filter(|&(&class, _)| class != own).map(|(_, images)| images).collect();
        let images = others[below(&mut rng, others.len())];
        images[below(&mut rng, images.len())]
    }

    /// Adds the features `[D]` of the image that [`PseudoOodTask::make`] made. A task may be left out, for
    /// example because its image can't be read.
    ///
    /// # Errors
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) for unusable features,
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) for a task of another tuner.
    pub fn add(&mut self, task: &PseudoOodTask, features: ArrayView1<f32>) -> Result<()> {
        self.head.check(features)?;
        let Some(&HeldOut { class, .. }) = self.holdout.get(&task.image) else {
            return Err(Error::data(format!("there is no held-out image {}", task.image)));
        };
        self.made.insert((task.kind, task.position), Made { class, features: features.to_vec() });
        Ok(())
    }

    /// What a user should know before trusting the result, in sentences.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let held_out = self.holdout.len();
        if held_out < FEW_IMAGES {
            warnings.push(format!(
                "only {held_out} held-out images: the picked settings may be off by several points \
                 of AUROC, and the threshold is uncertain; use {FEW_IMAGES} or more"
            ));
        }
        let present = self.by_class().len();
        if present < self.head.num_classes() {
            warnings.push(format!(
                "the held-out images are of {present} of the model's {} classes: the settings suit \
                 those classes only",
                self.head.num_classes()
            ));
        }
        if self.unlabelled > 0 {
            warnings.push(format!(
                "{} held-out images came without a class; their predicted class was taken",
                self.unlabelled
            ));
        }
        let fewest = Kind::ALL.iter().map(|&kind| self.number_made(kind)).min().unwrap_or(0);
        if fewest < self.options.per_kind {
            warnings.push(format!(
                "{fewest} instead of {} pseudo-OOD images of a kind: the picked settings are less \
                 certain",
                self.options.per_kind
            ));
        }
        warnings
    }

    fn number_made(&self, kind: Kind) -> usize {
        self.made.range((kind, 0)..=(kind, u32::MAX)).count()
    }

    fn weights(&self) -> Weights {
        let is_called =
            |class: usize, features: &[f32]| self.head.predict(ArrayView1::from(features)) == class;
        let share = |right: usize, of: usize| right as f64 / of as f64;
        let right = self.holdout.values().filter(|image| is_called(image.class, &image.features));
        let accuracy = share(right.count(), self.holdout.len());
        let kept = Kind::ALL.map(|kind| {
            let made = self.made.range((kind, 0)..=(kind, u32::MAX));
            let kept = made.filter(|(_, image)| is_called(image.class, &image.features)).count();
            share(kept, self.number_made(kind))
        });
        Weights::new(accuracy, kept)
    }

    fn temperature(&self) -> Result<f64> {
        let found = resolve(&TEMPERATURE, &self.stats.settings, &self.stats)?;
        found.ok_or_else(|| Error::stats("there is no temperature"))
    }
}
