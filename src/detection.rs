//! From features to a class, a score, a verdict and the pruned weights; no backbone involved.

mod counterfactual;
mod energy;
mod evidence;
mod fewest;
mod holdout;
mod result;
mod sweep;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ndarray::{Array1, ArrayView1, ArrayView2, Axis};

use crate::detectors::detector::{Context, Score, once};
use crate::detectors::energy::TEMPERATURE;
use crate::detectors::held_t::Parts;
use crate::detectors::odin::Step;
use crate::detectors::{auto, gradient, itp, odin, overrides, registry};
use crate::error::{Error, Result};
use crate::head::Head;
use crate::numeric::logits;
use crate::numeric::sums::ROWS;
use crate::pruning::{Pruned, Pruning, Reasons};
use crate::settings::{Options, Settings};
use crate::stats::{AUTO, Member, Stats};
use crate::threshold::{accepts, p_value, threshold};

pub use counterfactual::{Counterfactual, GivenBack, PrunedWeight, Turn};
pub use evidence::{Evidence, Part};
pub(crate) use holdout::{fit_to_holdout, score_holdout};
pub use result::{Detection, Energies, Explanation, MemberShare, TopClass};

/// A last layer with its statistics: everything that follows from features, without a backbone.
pub struct FeatureDetector {
    head: Arc<Head>,
    stats: Stats,
    /// What was prepared for the settings of the last call; most calls repeat them.
    prepared: Mutex<Option<Arc<Prepared>>>,
    /// Whether the network's gradient is at hand.
    has_gradient: bool,
}

/// Multiplications that new settings may cost to find their threshold: some twenty milliseconds in a
/// browser, so that a slider stays smooth.
const MAX_SAMPLE_COST: usize = 1 << 25;

struct Prepared {
    /// In full.
    settings: Settings,
    temperature: f64,
    /// `None` where the last layer isn't linear.
    pruning: Option<Arc<Pruning>>,
    score: Box<dyn Score>,
    /// For explanations, which most calls don't ask for.
    held: OnceLock<Parts>,
    members: OnceLock<Vec<(Member, Box<dyn Score>)>>,
    id_scores: Option<Vec<f32>>,
}

impl Prepared {
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) where the last layer isn't linear.
    fn pruning(&self, head: &Head) -> Result<&Pruning> {
        head.check_linear("an explanation by the weights")?;
        self.pruning.as_deref().ok_or_else(|| Error::options("there is no pruning"))
    }

    /// The threshold that was given, or else the one that the in-distribution scores make.
    fn threshold(&self, options: &Options) -> Result<Option<f64>> {
        match (options.threshold, &self.id_scores) {
            (Some(threshold), _) => Ok(Some(threshold)),
            (None, Some(ids)) => threshold(ids, self.settings.tpr).map(Some),
            (None, None) => Ok(None),
        }
    }
}

impl FeatureDetector {
    /// A detector for a last layer and the statistics of its features.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if their shapes differ,
    /// [`ErrorKind::Stats`](crate::ErrorKind::Stats) for an unknown or impossible hyperparameter.
    pub fn new(head: impl Into<Arc<Head>>, stats: Stats) -> Result<Self> {
        let head = head.into();
        stats.check_head(&head)?;
        overrides::check_stored(&stats)?;
        Ok(Self { head, stats, prepared: Mutex::new(None), has_gradient: false })
    }

    /// A detector whose thresholds, and whatever else detectors take from in-distribution images that
    /// the model was not trained on, come from such images' features `[n, D]`.
    ///
    /// # Errors
    /// As [`FeatureDetector::new`], and [`ErrorKind::Features`](crate::ErrorKind::Features) for
    /// unusable features.
    pub fn with_holdout(
        head: impl Into<Arc<Head>>,
        stats: Stats,
        holdout: ArrayView2<f32>,
    ) -> Result<Self> {
        let head = head.into();
        stats.check_head(&head)?;
        holdout.outer_iter().try_for_each(|row| head.check(row))?;
        Self::new(head.clone(), score_holdout(&head, stats, holdout)?)
    }

    /// The same, with the network's gradient at hand: ODIN then moves images by default.
    #[cfg_attr(not(feature = "onnx"), expect(dead_code, reason = "needs a network"))]
    pub(crate) fn with_gradient(self, has_gradient: bool) -> Self {
        Self { has_gradient, ..self }
    }

    /// The last layer.
    pub fn head(&self) -> &Arc<Head> {
        &self.head
    }

    /// The statistics.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The statistics, without the last layer.
    pub fn into_stats(self) -> Stats {
        self.stats
    }

    /// Names of the scores that the statistics suffice for.
    pub fn scores_available(&self) -> Vec<String> {
        let reasons = self.scores_with_obstacles().filter(|(_, reason)| reason.is_none());
        reasons.map(|(name, _)| name).collect()
    }

    /// Every score by name; with the reason if it can't be had.
    pub fn scores_with_obstacles(&self) -> impl Iterator<Item = (String, Option<String>)> {
        let Self { head, stats, .. } = self;
        // All have the same hyperparameters, so they share what is pruned.
        let pruning = OnceLock::new();
        registry::names().map(move |name| {
            let parts = registry::parts(&name).ok();
            let obstacle = parts.and_then(|parts| registry::obstacle(&parts, head));
            let reason = obstacle.map(str::to_owned).or_else(|| {
                let settings = &Settings { score: name.clone(), ..stats.settings.clone() };
                let context = Context { head, stats, settings, pruning: &pruning, earlier: None };
                let built = registry::build(&context).and_then(|_| self.check_step(settings));
                built.err().map(|error| error.message().to_owned())
            });
            (name, reason)
        })
    }

    /// The settings of a call: its overrides over the stored ones over the defaults, with every
    /// hyperparameter that has a short name.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for settings outside their range.
    pub fn settings(&self, options: &Options) -> Result<Settings> {
        overrides::in_full(&options.resolve(&self.stats.settings)?, &self.stats)
    }

    fn prepare(&self, settings: Settings) -> Result<Arc<Prepared>> {
        // A panic elsewhere can't leave the slot half-written: it holds a whole Arc or none.
        let mut slot = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = slot.as_ref().filter(|prepared| prepared.settings == settings) {
            return Ok(prepared.clone());
        }
        let earlier = slot.as_ref().and_then(|prepared| prepared.pruning.as_deref());
        let prepared = Arc::new(self.prepare_after(settings, earlier)?);
        *slot = Some(prepared.clone());
        Ok(prepared)
    }

    /// Prepares for settings, sharing what stays the same with an earlier pruning.
    fn prepare_after(&self, settings: Settings, earlier: Option<&Pruning>) -> Result<Prepared> {
        let Self { head, stats, .. } = self;
        let pruning = &OnceLock::new();
        let context = Context { head, stats, settings: &settings, pruning, earlier };
        let score = registry::build(&context)?;
        Ok(Prepared {
            pruning: if head.is_linear() { Some(itp::pruning(&context)?) } else { None },
            temperature: context.value(&TEMPERATURE)?,
            held: OnceLock::new(),
            members: OnceLock::new(),
            id_scores: self.find_id_scores(&settings, &*score)?,
            score,
            settings,
        })
    }

    /// Sorted in-distribution scores under these settings: the stored ones where nothing differs
    /// from the stats file's own settings, those of its sample of features otherwise.
    fn find_id_scores(&self, settings: &Settings, score: &dyn Score) -> Result<Option<Vec<f32>>> {
        let stored = Settings {
            score: settings.score.clone(),
            tpr: settings.tpr,
            ..overrides::in_full(&self.stats.settings, &self.stats)?
        };
        // Stored scores are of images that were moved by the stored length, or not at all.
        let step = Step::new(settings, &self.stats, self.has_gradient)?;
        let is_stored =
            step.is_none() || step == Step::of_any(&self.stats.settings, &self.stats, false)?;
        if let Some(scores) = self.stats.id_scores.get(&settings.score)
            && *settings == stored
            && is_stored
        {
            return Ok(Some(scores.clone()));
        }
        if step.is_some() {
            return Ok(None);
        }
        let Some(sample) = self.sample() else { return Ok(None) };
        let rows = sample.outer_iter();
        let mut scores: Vec<f32> = rows
            .map(|features| score.score(features, self.head.logits(features).view()) as f32)
            .filter(|score| score.is_finite())
            .collect();
        scores.sort_by(f32::total_cmp);
        Ok((!scores.is_empty()).then_some(scores))
    }

    /// The sample of held-out features that thresholds for other settings are made from, if there is one
    /// and it doesn't cost too much.
    fn sample(&self) -> Option<ArrayView2<'_, f32>> {
        let sample = self.stats.id_features()?;
        (sample.len() * self.head.num_classes() <= MAX_SAMPLE_COST).then_some(sample)
    }

    /// Sorted in-distribution scores under these settings, that the threshold and the p-value rest
    /// on; `None` where the stats file has neither scores nor a sample of features for them.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for settings outside their range, and
    /// what [`registry::build`] reports.
    pub fn id_scores(&self, options: &Options) -> Result<Option<Vec<f32>>> {
        let prepared = self.prepare(self.settings(options)?)?;
        Ok(prepared.id_scores.clone())
    }

    /// Class, score and verdict from features `[D]`.
    ///
    /// # Errors
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) for unusable features,
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for settings outside their range, and
    /// what [`registry::build`] reports.
    pub fn detect(&self, features: ArrayView1<f32>, options: &Options) -> Result<Detection> {
        let settings = self.settings(options)?;
        self.check_still(&settings)?;
        self.detect_moved(features, None, settings, options)
    }

    /// The step of the image that a call asks for.
    #[cfg_attr(not(feature = "onnx"), expect(dead_code, reason = "needs a network"))]
    pub(crate) fn step(&self, settings: &Settings) -> Result<Option<Step>> {
        Step::new(settings, &self.stats, self.has_gradient)
    }

    /// Refuses a step of the image that needs a gradient where there is none.
    fn check_step(&self, settings: &Settings) -> Result<()> {
        if self.has_gradient { Ok(()) } else { self.check_still(settings) }
    }

    /// Refuses what can't be had from features alone.
    fn check_still(&self, settings: &Settings) -> Result<()> {
        match Step::new(settings, &self.stats, self.has_gradient)? {
            None => Ok(()),
            Some(_) => Err(Error::options(format!(
                "the score \"{}\" moves the image by {} and runs the network again, so it can't be \
                 had from features alone; rate the image by a model that was loaded with its \
                 gradient, or set {0} to 0",
                settings.score,
                odin::EPSILON.name
            ))),
        }
    }

    /// Derivatives of the score of features with respect to them, both `[D]`.
    #[cfg_attr(not(feature = "onnx"), expect(dead_code, reason = "needs a network"))]
    pub(crate) fn cotangents(
        &self,
        features: ArrayView1<f32>,
        settings: Settings,
    ) -> Result<Array1<f32>> {
        self.head.check(features)?;
        let score = &self.prepare(settings)?.score;
        let exact = score.gradient(&self.head, features);
        Ok(exact.unwrap_or_else(|| gradient::of_features(&**score, &self.head, features)))
    }

    /// As [`FeatureDetector::detect`], with the score of the moved image's features, if it was moved,
    /// for the settings of the options.
    pub(crate) fn detect_moved(
        &self,
        features: ArrayView1<f32>,
        moved: Option<ArrayView1<f32>>,
        settings: Settings,
        options: &Options,
    ) -> Result<Detection> {
        self.head.check(features)?;
        let prepared = self.prepare(settings)?;
        let settings = &prepared.settings;
        let energy = |of: &Array1<f64>| logits::logsumexp(of.view(), prepared.temperature);
        let (plain, pruned) = match &prepared.pruning {
            None => (self.head.logits(features), None),
            Some(pruning) => {
                let Pruned { plain, crp, ftp, itp, counts } = pruning.apply(&self.head, features);
                let energies = Energies {
                    plain: energy(&plain),
                    crp: energy(&crp),
                    ftp: energy(&ftp),
                    itp: energy(&itp),
                };
                (plain, Some((energies, counts, itp)))
            }
        };
        let unpruned_score = energy(&plain);
        let pruned_finite =
            pruned.as_ref().is_none_or(|(Energies { crp, ftp, itp, .. }, _, of)| {
                [crp, ftp, itp].iter().all(|energy| energy.is_finite())
                    && of.iter().all(|logit| logit.is_finite())
            });
        let plain_finite = plain.iter().chain([&unpruned_score]).all(|value| value.is_finite());
        if !plain_finite || !pruned_finite {
            return Err(Error::features(
                "the logits or energies are NaN or infinite for this image; the statistics or the \
                 features have values far out of range",
            ));
        }
        let score = match moved {
            None => prepared.score.score(features, plain.view()),
            Some(moved) => prepared.score.score(moved, self.head.logits(moved).view()),
        };
        if !score.is_finite() {
            return Err(Error::features(format!(
                "the score {} is {score} for this image; its features can't be used",
                settings.score
            )));
        }
        let ids = prepared.id_scores.as_deref();
        let threshold = prepared.threshold(options)?;
        let class_index = logits::argmax(plain.view());
        Ok(Detection {
            label: self.stats.labels[class_index].clone(),
            class_index,
            score,
            score_name: settings.score.clone(),
            unpruned_score,
            threshold,
            in_distribution: threshold.map(|threshold| accepts(score, threshold)),
            p_value: ids.map(|ids| p_value(ids, score)),
            top_k: self.top_k(&plain, options.top_k.unwrap_or(5)),
            energies: pruned.as_ref().map(|(energies, ..)| *energies),
            counts: pruned.as_ref().map(|(_, counts, _)| *counts),
            settings: settings.clone(),
            logits: plain.into(),
            pruned_logits: pruned.map_or(Array1::zeros(0), |(.., logits)| logits).into(),
        })
    }

    fn top_k(&self, logits: &Array1<f64>, k: usize) -> Vec<TopClass> {
        let probabilities = logits::softmax(logits.view());
        let mut order: Vec<usize> = (0..probabilities.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        order
            .into_iter()
            .take(k)
            .map(|class_index| TopClass {
                label: self.stats.labels[class_index].clone(),
                class_index,
                probability: probabilities[class_index],
            })
            .collect()
    }

    /// Scores of many images' features `[N, D]`, `[N]`; huge features can make them infinite.
    ///
    /// # Errors
    /// [`ErrorKind::Features`](crate::ErrorKind::Features) for unusable features, naming the row,
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for settings outside their range, and
    /// what [`registry::build`] reports.
    pub fn scores(&self, features: ArrayView2<f32>, options: &Options) -> Result<Vec<f64>> {
        let settings = self.settings(options)?;
        self.check_still(&settings)?;
        let prepared = self.prepare(settings)?;
        let mut scores = Vec::with_capacity(features.nrows());
        for rows in features.axis_chunks_iter(Axis(0), ROWS) {
            for (at, row) in (scores.len()..).zip(rows.outer_iter()) {
                self.head.check(row).map_err(|error| error.context(format!("row {at}")))?;
            }
            scores.extend(prepared.score.scores(rows, self.head.logits_of(rows).view()));
        }
        Ok(scores)
    }

    /// Why the logit of one class is what it is for these features.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for an unknown class, or if the last layer
    /// isn't linear, and as [`FeatureDetector::detect`].
    pub fn explain(
        &self,
        features: ArrayView1<f32>,
        class_index: usize,
        options: &Options,
    ) -> Result<Explanation> {
        let prepared = self.prepare(self.settings(options)?)?;
        let Self { head, stats, .. } = self;
        let weights = prepared.pruning(head)?.explain(head, stats, features, class_index)?;
        let (settings, pruning) = (&prepared.settings, &OnceLock::new());
        let context = Context { head, stats, settings, pruning, earlier: None };
        let held = once(&prepared.held, || Parts::new(&context))?;
        let members = match settings.score == AUTO {
            true => once(&prepared.members, || auto::members(&context))?.as_slice(),
            false => &[],
        };
        let logits = head.logits(features);
        let share = |(member, score): &(Member, Box<dyn Score>)| MemberShare {
            score: member.settings.score.clone(),
            share: member.share(score.score(features, logits.view())),
        };
        Ok(Explanation {
            class_index,
            label: self.stats.labels[class_index].clone(),
            omega: prepared.pruning(head)?.omega(),
            weights,
            held: held.explain(features, class_index)?,
            members: members.iter().map(share).collect(),
        })
    }

    /// Why each of the K x D weights is left out for these features, class by class.
    ///
    /// # Errors
    /// As [`FeatureDetector::explain`].
    pub fn weight_map(&self, features: ArrayView1<f32>, options: &Options) -> Result<Reasons> {
        self.head.check(features)?;
        let prepared = self.prepare(self.settings(options)?)?;
        Ok(prepared.pruning(&self.head)?.map(&self.head, features))
    }
}
