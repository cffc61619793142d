//! The AUROC of every candidate setting against every kind of pseudo-OOD image.

use ndarray::{Array1, ArrayView1};

use super::Tuner;
use super::candidates::{self, Candidates, HELD_LAMBDA, W_STEPS};
use super::pseudo::Kind;
use super::report::{Candidate, Family};
use super::rule::NEAR_ALLOWANCE;
use super::setting::Setting;
use super::weights::Weights;
use crate::detectors::held_t::weight_by_spread;
use crate::error::Result;

/// Scores of all images under all settings; the last column is T.
pub(super) struct Scored {
    holdout: Vec<Vec<f64>>,
    made: Vec<(Kind, Vec<f64>)>,
    weights: Weights,
}

impl Scored {
    pub(super) fn new(tuner: &Tuner, candidates: &Candidates, weights: Weights) -> Result<Self> {
        let rate = |features: &[f32]| candidates.scores(ArrayView1::from(features));
        let made = tuner.made.iter();
        Ok(Self {
            holdout: tuner
                .holdout
                .values()
                .map(|image| rate(&image.features))
                .collect::<Result<_>>()?,
            made: made
                .map(|(&(kind, _), image)| Ok((kind, rate(&image.features)?)))
                .collect::<Result<_>>()?,
            weights,
        })
    }

    pub(super) fn families(&self, settings: &[Setting]) -> Vec<Family> {
        let mut families: Vec<(&'static str, Vec<Candidate>)> = Vec::new();
        let mut push = |score, tried| match families.last_mut() {
            Some((last, all)) if *last == score => all.push(tried),
            _ => families.push((score, vec![tried])),
        };
        for (column, &setting) in settings.iter().enumerate() {
            push(setting.score(), self.rate(setting, |row| row[column]));
        }
        let first_held = settings.len() - HELD_LAMBDA.len();
        let t: Array1<f64> = self.holdout.iter().map(|row| row[settings.len()]).collect();
        for (step, &lambda) in HELD_LAMBDA.iter().enumerate() {
            let column = first_held + step;
            let held: Array1<f64> = self.holdout.iter().map(|row| row[column]).collect();
            for step in 0..W_STEPS {
                let w = candidates::w(step);
                let a = weight_by_spread(w, &held, &t);
                let rate = |row: &[f64]| row[column] - a * row[settings.len()];
                push("held_t", self.rate(Setting::HeldT { lambda, w, a }, rate));
            }
        }
        let Candidate { mean: energy_mean, near_mean: energy_near, .. } = families[0].1[0];
        families
            .into_iter()
            .map(|(score, tried)| {
                let pick = |least_near| {
                    let pick = best(&tried, least_near);
                    // The first pair, p 0 and lambda infinity, prunes next to nothing.
                    if score == "itp" && tried[pick].mean < energy_mean { 0 } else { pick }
                };
                let (r1, r_star) = (pick(f64::NEG_INFINITY), pick(energy_near - NEAR_ALLOWANCE));
                Family { score, r1, r_star, tried }
            })
            .collect()
    }

    fn rate(&self, setting: Setting, score: impl Fn(&[f64]) -> f64) -> Candidate {
        let mut id: Vec<f64> = self.holdout.iter().map(|row| score(row)).collect();
        id.sort_by(f64::total_cmp);
        let auroc: Vec<f64> = Kind::ALL
            .iter()
            .map(|kind| {
                let of_kind = self.made.iter().filter(|(made, _)| made == kind);
                candidates::auroc(&id, of_kind.map(|(_, row)| score(row)))
            })
            .collect();
        let near: Vec<f64> = Kind::ALL
            .iter()
            .zip(&auroc)
            .filter(|(kind, _)| kind.is_near())
            .map(|(_, &auroc)| auroc)
            .collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        Candidate { setting, mean: self.weights.mean(&auroc), near_mean: mean(&near), auroc }
    }
}

/// The first of the highest means among those with enough near the training data; where no setting
/// has that, the one with the most.
fn best(tried: &[Candidate], least_near: f64) -> usize {
    let rank = |index: &usize| {
        let tried = &tried[*index];
        if tried.near_mean >= least_near { (true, tried.mean) } else { (false, tried.near_mean) }
    };
    let mut best = 0;
    for index in 1..tried.len() {
        if rank(&index) > rank(&best) {
            best = index;
        }
    }
    best
}
