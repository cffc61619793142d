//! The end of tuning: settings and detectors are picked and written.

use ndarray::{ArrayView1, ArrayView2};

use super::candidates::Candidates;
use super::choice::{self, Choice};
use super::pseudo::Kind;
use super::rating::{self, Sets};
use super::report::{Family, Report};
use super::task::rng;
use super::weights::Weights;
use super::{Tuner, leave_out, others};
use crate::detection::{fit_to_holdout, score_holdout};
use crate::detectors::registry;
use crate::error::{Error, Result};
use crate::stats::{AUTO, Member, Stats};

/// A kind of which the model calls more than half as before counts as one that keeps labels; so many of
/// sixteen earn a warning.
const MANY_KEPT: usize = 4;

impl Tuner {
    /// Rates every setting, picks, and writes the picks, the scores of the held-out images and
    /// what follows from them into the statistics.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) without held-out images of two classes, or
    /// without a pseudo-OOD image of some kind.
    pub fn finish(self) -> Result<(Stats, Report)> {
        let classes = self.by_class().len();
        if classes < 2 {
            // The same complaint as before any image was made.
            self.tasks()?;
        }
        if let Some(kind) = Kind::ALL.into_iter().find(|&kind| self.number_made(kind) == 0) {
            return Err(Error::data(format!(
                "there is no pseudo-OOD image of kind {}; all of its held-out images were \
                 unreadable, or its tasks were left out",
                kind.name()
            )));
        }
        let sets = self.sets();
        let holdout = sets.id_matrix();
        let candidates =
            Candidates::new(&self.head, &self.stats, self.temperature()?, holdout.view())?;
        let weights = self.weights();
        let families = rating::families(rating::rate(&candidates, &sets)?, &weights, None);
        let mut warnings = self.warnings();
        let mean_of = |at: usize| families[at].pick(self.options.rule).mean;
        let (energy, itp) = (mean_of(0), mean_of(1));
        if itp <= energy {
            warnings.push(format!(
                "ITP tells no pseudo-OOD images apart that Energy doesn't ({itp:.2} to {energy:.2} \
                 AUROC at best): its settings prune next to nothing"
            ));
        }
        let (others, members) = match self.options.detector {
            Choice::Keep => (Vec::new(), Vec::new()),
            _ => self.choose(&families, &sets, &weights, holdout.view())?,
        };
        warnings.extend(kept_labels(&weights, self.options.detector));
        let report = Report {
            created_with: format!("itp-ood {}", env!("CARGO_PKG_VERSION")),
            model_sha256: self.stats.model_sha256.clone(),
            seed: self.options.seed,
            rule: self.options.rule,
            detector: self.options.detector,
            holdout: self.holdout.len(),
            classes,
            kinds: Kind::ALL.to_vec(),
            images: Kind::ALL.iter().map(|&kind| self.number_made(kind)).collect(),
            weights: weights.values().to_vec(),
            families,
            others,
            members: members.clone(),
            warnings,
            seconds: None,
        };
        let mut stats = self.stats.clone();
        stats.trained_on = self.options.trained_on;
        let settings = &mut stats.settings;
        if itp < energy && settings.score == "itp" {
            // Even p 0 prunes one weight, and here it matters.
            settings.score = "energy".to_owned();
        }
        for family in &report.families {
            // HELD alone is not what HELD+T's lambda is chosen for.
            if family.score == "held" {
                continue;
            }
            for (name, value) in family.pick(report.rule).setting.hyperparameters() {
                settings.set(name, value);
            }
        }
        if !members.is_empty() {
            AUTO.clone_into(&mut settings.score);
            stats.members = members;
        }
        for family in &report.others {
            for (name, value) in family.pick(report.rule).setting.hyperparameters() {
                if is_own(family.score, name) {
                    stats = stats.with_hyperparameter(name, value)?;
                }
            }
        }
        let stats = score_holdout(&self.head, stats, holdout.view())?;
        Ok((stats, report))
    }

    /// The families of all other detectors, and the members of the score `auto`.
    fn choose(
        &self,
        families: &[Family],
        sets: &Sets,
        weights: &Weights,
        holdout: ArrayView2<f32>,
    ) -> Result<(Vec<Family>, Vec<Member>)> {
        let head = &self.head;
        let mut stats = self.stats.clone();
        // What some detectors take from held-out images.
        fit_to_holdout(head, &mut stats, holdout)?;
        let energy = &families[0].tried[0];
        let energy = Some((energy.mean, energy.near_mean));
        let others = rating::families(others::rate(head, &stats, sets)?, weights, energy);
        let all: Vec<&Family> = families.iter().chain(&others).collect();
        let members = if self.options.detector == Choice::Ensemble {
            choice::sum(head, &stats, &all, sets, weights)?
        } else {
            let labelled: Vec<_> = self
                .holdout
                .values()
                .map(|image| (image.class, ArrayView1::from(&image.features)))
                .collect();
            let mut rng = rng(self.options.seed, LEAVE_OUT_STREAM);
            let temperature = self.temperature()?;
            let left_out = leave_out::rate(head, &stats, temperature, &labelled, &mut rng)?;
            let found = choice::one(&all, &left_out);
            let member = found.map(|setting| choice::member(head, &stats, setting, sets));
            member.transpose()?.flatten().map(|(member, _)| member).into_iter().collect()
        };
        if members.is_empty() {
            return Err(Error::data(
                "no detector tells the held-out images apart: all of them have the same score",
            ));
        }
        Ok((others, members))
    }

    /// The held-out images, and the pseudo-OOD ones by kind.
    fn sets(&self) -> Sets<'_> {
        let view = |features| ArrayView1::from(features);
        let of_kind = |kind| self.made.range((kind, 0)..=(kind, u32::MAX));
        Sets {
            id: self.holdout.values().map(|image| view(&image.features)).collect(),
            ood: Kind::ALL
                .map(|kind| of_kind(kind).map(|(_, made)| view(&made.features)).collect())
                .to_vec(),
        }
    }
}

/// The random numbers of leaving classes out; no image's.
const LEAVE_OUT_STREAM: u64 = u64::MAX;

/// A warning where the choice of the score rests on few kinds.
fn kept_labels(weights: &Weights, detector: Choice) -> Option<String> {
    let kept: Vec<&str> = Kind::ALL
        .iter()
        .zip(weights.values())
        .filter(|&(_, &weight)| weight < 0.5)
        .map(|(kind, _)| kind.name())
        .collect();
    (detector != Choice::Keep && kept.len() >= MANY_KEPT).then(|| {
        format!(
            "the model calls more than half of the images of {} kinds as before ({}): they count \
             less, and the choice of the score rests on the others",
            kept.len(),
            kept.join(", ")
        )
    })
}

/// Whether a hyperparameter is the score's own: CRP tries ITP's, and ASH-S ASH-P's, but the picks of
/// their owners are written.
fn is_own(score: &str, hyperparameter: &str) -> bool {
    let about = registry::find(score).map(|detector| detector.about());
    about.is_some_and(|about| about.hyperparameters.iter().any(|own| own.name == hyperparameter))
}
