//! What would turn an image's verdict: weights given back, another p, another lambda.

use ndarray::{Array1, ArrayView1, Axis};
use serde::Serialize;

use super::fewest::{MAX_STEPS, to_lift, to_lower};
use super::sweep::{Bar, Course, Dial, Ranks, Sweep};
use super::{FeatureDetector, Prepared};
use crate::detectors::hyperparameters::Hyperparameter;
use crate::detectors::itp::{LAMBDA, P};
use crate::error::{Error, Result};
use crate::numeric::logits::logsumexp;
use crate::pruning::{Pruning, Reason, Variant};
use crate::settings::{Options, infinite};
use crate::threshold::{accepts, num_dropped};

/// What would turn an image's verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
pub struct Counterfactual {
    /// The verdict as it is.
    pub in_distribution: bool,
    /// The score as it is.
    pub score: f64,
    /// The threshold as it is.
    pub threshold: f64,
    /// The fewest pruned weights that, given back, turn the verdict, while the threshold stays as it
    /// is; `None` if not even all of them do.
    pub given_back: Option<GivenBack>,
    /// The nearest p that turns the verdict; `None` if there is none, or it isn't known.
    pub p: Option<Turn>,
    /// The nearest lambda that turns the verdict; `None` if there is none, or it isn't known.
    pub lambda: Option<Turn>,
    /// Why `p` and `lambda` aren't known, if so.
    pub unknown: Option<String>,
}

/// Pruned weights that turn the verdict when they are given back.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct GivenBack {
    /// The weights, by the size of their contributions.
    pub weights: Vec<PrunedWeight>,
    /// The score with them.
    pub score: f64,
    /// Whether it is certain that no fewer would do; only for large last layers the search may end
    /// before.
    pub is_fewest: bool,
}

/// A weight that is pruned for an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct PrunedWeight {
    /// Its class's row in the last layer.
    pub class_index: usize,
    /// The number of its feature, from 0.
    pub feature: usize,
    /// What it adds to the logit of its class.
    pub contribution: f64,
    /// Why it is pruned.
    #[serde(serialize_with = "name")]
    #[cfg_attr(feature = "typescript", ts(type = "\"redundant\" | \"overconfident\" | \"both\""))]
    pub reason: Reason,
}

fn name<S: serde::Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.name())
}

/// A value of a hyperparameter that turns the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS))]
pub struct Turn {
    /// The value, the nearest to the one in use.
    #[serde(serialize_with = "infinite::serialize")]
    pub value: f64,
    /// The value less the one in use.
    #[serde(serialize_with = "infinite::serialize")]
    pub change: f64,
    /// The score at that value.
    pub score: f64,
    /// The threshold at that value.
    pub threshold: f64,
}

impl FeatureDetector {
    /// What would turn the verdict on features `[D]`.
    ///
    /// Everything but the weights, p or lambda stays as the options say. The threshold, unless the
    /// options give one, is what a detection with the other p or lambda has: from the stored sample of
    /// held-out features, or from the stored scores at the stored settings.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for other scores than ITP, CRP and FTP, if
    /// there is no threshold, and as [`FeatureDetector::detect`].
    pub fn counterfactual(
        &self,
        features: ArrayView1<f32>,
        options: &Options,
    ) -> Result<Counterfactual> {
        let settings = self.settings(options)?;
        let variant = match &*settings.score {
            "itp" => Variant::Itp,
            "crp" => Variant::Crp,
            "ftp" => Variant::Ftp,
            other => {
                return Err(Error::options(format!(
                    "what would turn a verdict is told for the scores itp, crp and ftp, not for \
                     \"{other}\"; ask for one of these"
                )));
            }
        };
        self.head.check(features)?;
        let prepared = self.prepare(settings)?;
        let pruning = prepared.pruning(&self.head)?;
        let (score, threshold) = self.rated(&prepared, features, options)?;
        let Some(threshold) = threshold else {
            return Err(Error::options(
                "there is no verdict to turn: the stats file has no in-distribution scores for \
                 these settings; give a threshold",
            ));
        };
        let accepted = accepts(score, threshold);
        let at = Standpoint {
            detector: self,
            prepared: &prepared,
            pruning,
            variant,
            features,
            options,
            accepted,
        };
        let (p, lambda, unknown) = match at.sweep() {
            Err(reason) => (None, None, Some(reason)),
            Ok(sweep) => {
                let ranks = Ranks::new(&self.head, &self.stats);
                let p = at.turn(&sweep, Dial::P(&ranks), &P)?;
                (p, at.turn(&sweep, Dial::Lambda, &LAMBDA)?, None)
            }
        };
        let given_back = at.given_back(threshold);
        Ok(Counterfactual {
            in_distribution: accepted,
            score,
            threshold,
            given_back,
            p,
            lambda,
            unknown,
        })
    }

    /// The score of features under prepared settings, and the threshold.
    fn rated(
        &self,
        prepared: &Prepared,
        features: ArrayView1<f32>,
        options: &Options,
    ) -> Result<(f64, Option<f64>)> {
        let score = prepared.score.score(features, self.head.logits(features).view());
        if !score.is_finite() {
            return Err(Error::features(format!(
                "the score is {score} for this image; its features can't be used"
            )));
        }
        Ok((score, prepared.threshold(options)?))
    }
}

/// An image under the settings that a counterfactual starts from.
struct Standpoint<'a> {
    detector: &'a FeatureDetector,
    prepared: &'a Prepared,
    pruning: &'a Pruning,
    variant: Variant,
    features: ArrayView1<'a, f32>,
    options: &'a Options,
    accepted: bool,
}

impl Standpoint<'_> {
    /// The image among the held-out images that other thresholds rest on, or why there are none.
    fn sweep(&self) -> Result<Sweep<'_>, String> {
        let mut images = vec![self.features];
        let bar = match (self.options.threshold, self.detector.sample()) {
            (Some(threshold), _) => Bar::Fixed(threshold),
            (None, Some(sample)) if sample.nrows() > 0 => {
                let rows = (0..sample.nrows()).map(|row| sample.index_axis_move(Axis(0), row));
                images.extend(rows);
                Bar::Held(num_dropped(sample.nrows(), self.prepared.settings.tpr))
            }
            _ => {
                return Err(
                    "the stats file has no sample of held-out features, or one that is too \
                            large, so that no threshold is known at another p or lambda; give a \
                            threshold"
                        .to_owned(),
                );
            }
        };
        Ok(Sweep {
            head: &self.detector.head,
            stats: &self.detector.stats,
            pruning: self.pruning,
            variant: self.variant,
            temperature: self.prepared.temperature,
            images,
            bar,
            accepted: self.accepted,
        })
    }

    /// The nearest value of `of` that turns the verdict.
    fn turn(&self, sweep: &Sweep, dial: Dial, of: &Hyperparameter) -> Result<Option<Turn>> {
        let start = sweep.start(dial);
        let judge = |value: f64| self.judge(of, value, start);
        let mut found: Option<Turn> = None;
        let mut take = |turn: Option<Turn>| {
            let size = |turn: &Turn| turn.change.abs();
            if let Some(turn) = turn
                && found.as_ref().is_none_or(|found| size(&turn) < size(found))
            {
                found = Some(turn);
            }
            found.as_ref().map_or(f64::INFINITY, size)
        };
        // At the stored value the threshold may be another one, from more images than the sample.
        let stored = self.detector.settings(&Options::default())?.get(of.name);
        let mut within =
            take(stored.filter(|&stored| stored != start).map(judge).transpose()?.flatten());
        for (up, next) in [(true, start.next_up()), (false, start.next_down())] {
            if !(of.range.low..=of.range.high).contains(&next) {
                continue;
            }
            let here = match judge(next)? {
                None => sweep.nearest(Course { dial, up, within }, judge)?,
                found => found,
            };
            within = take(here);
        }
        Ok(found)
    }

    /// The verdict at another value of a hyperparameter, if it is another one.
    fn judge(&self, of: &Hyperparameter, value: f64, start: f64) -> Result<Option<Turn>> {
        let detector = self.detector;
        let mut settings = self.prepared.settings.clone();
        settings.set(of.name, value);
        let prepared = detector.prepare_after(settings, Some(self.pruning))?;
        let (score, threshold) = detector.rated(&prepared, self.features, self.options)?;
        let turned = threshold.filter(|&threshold| accepts(score, threshold) != self.accepted);
        Ok(turned.map(|threshold| Turn { value, change: value - start, score, threshold }))
    }

    /// The fewest pruned weights that turn the verdict.
    fn given_back(&self, threshold: f64) -> Option<GivenBack> {
        let head = &self.detector.head;
        let temperature = self.prepared.temperature;
        let logits = self.pruning.logits(head, self.features, self.variant);
        let reasons = self.pruning.map(head, self.features);
        let is_pruned = |reason| match self.variant {
            Variant::Crp => matches!(reason, Reason::Redundant | Reason::Both),
            Variant::Ftp => matches!(reason, Reason::Overconfident | Reason::Both),
            _ => reason != Reason::Kept,
        };
        // What lowers the score if the image is accepted, what lifts it if not.
        let sign = if self.accepted { -1.0 } else { 1.0 };
        let rows = head.weights().outer_iter().zip(reasons.chunks(head.num_features()));
        let of_class =
            |(class_index, (weights, reasons)): (usize, (ArrayView1<f32>, &[Reason]))| {
                let parts = weights.into_iter().zip(self.features).zip(reasons).enumerate();
                let mut useful: Vec<PrunedWeight> = parts
                    .map(|(feature, ((w, h), &reason))| PrunedWeight {
                        class_index,
                        feature,
                        contribution: f64::from(w * h),
                        reason,
                    })
                    .filter(|weight| is_pruned(weight.reason) && sign * weight.contribution > 0.0)
                    .collect();
                useful.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
                useful
            };
        let useful: Vec<Vec<PrunedWeight>> = rows.enumerate().map(of_class).collect();
        let sizes: Vec<Vec<f64>> = useful
            .iter()
            .map(|of| of.iter().map(|weight| weight.contribution.abs()).collect())
            .collect();
        let shares = if self.accepted {
            to_lower(logits.view(), &sizes, threshold, temperature)?
        } else {
            to_lift(logits.view(), &sizes, threshold, temperature, MAX_STEPS)?
        };
        let mut with: Array1<f64> = logits;
        let mut weights = Vec::new();
        for ((useful, count), logit) in useful.into_iter().zip(shares.counts).zip(&mut with) {
            let back = useful.into_iter().take(count);
            weights.extend(back.inspect(|weight| *logit += weight.contribution));
        }
        weights.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
        let score = logsumexp(with.view(), temperature);
        Some(GivenBack { weights, score, is_fewest: shares.is_fewest })
    }
}

#[cfg(test)]
mod tests;
