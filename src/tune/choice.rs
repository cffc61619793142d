//! Which detector is best, from in-distribution images alone: one of all, or a sum of some.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::others;
use super::rating::{Rated, Scores, Sets};
use super::report::Family;
use super::setting::Setting;
use super::weights::Weights;
use crate::detectors::{overrides, registry};
use crate::error::Result;
use crate::head::Head;
use crate::stats::{Member, Stats};

/// What else is chosen besides settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "TuneDetector"))]
pub enum Choice {
    /// Nothing: the score stays.
    #[default]
    Keep,
    /// One detector of all, by rule R1+L.
    Auto,
    /// A sum of detectors, found greedily.
    Ensemble,
}

/// Share of the classes left out in rule R1+L.
const LEFT_OUT_SHARE: f64 = 0.2;
/// Detectors that are added to the first one at most.
const MOST_ADDED: usize = 5;
/// Points of AUROC that another one must gain.
const LEAST_GAIN: f64 = 0.02;

/// The setting of all with the highest `0.8 R1 + 0.2 LCO`, where LCO is the AUROC with classes left out;
/// R1 alone where no class can be.
pub(super) fn one<'a>(families: &[&'a Family], left_out: &[Rated]) -> Option<&'a Setting> {
    let rank = |family: &Family, at: usize| {
        if left_out.is_empty() {
            return Some(family.tried[at].mean);
        }
        let rated = left_out.iter().find(|rated| rated.score == family.score)?;
        let (_, auroc) = rated.tried.get(at)?;
        Some((1.0 - LEFT_OUT_SHARE) * family.tried[at].mean + LEFT_OUT_SHARE * auroc[0])
    };
    let mut best: Option<(f64, &Setting)> = None;
    for family in families {
        for (at, candidate) in family.tried.iter().enumerate() {
            if let Some(rank) = rank(family, at)
                && best.is_none_or(|(highest, _)| rank > highest)
            {
                best = Some((rank, &candidate.setting));
            }
        }
    }
    best.map(|(_, setting)| setting)
}

/// The best family, and up to five times the one whose addition gains most, each represented by its
/// best setting in deviations over the in-distribution images.
///
/// # Errors
/// As [`others::build`].
pub(super) fn sum(
    head: &Arc<Head>,
    stats: &Stats,
    families: &[&Family],
    sets: &Sets,
    weights: &Weights,
) -> Result<Vec<Member>> {
    let mut all: Vec<(Member, Scores)> = Vec::new();
    for family in families {
        let setting = &family.tried[family.r1].setting;
        all.extend(member(head, stats, setting, sets)?);
    }
    let mean = |scores: &Scores| weights.mean(&scores.aurocs());
    let best = |means: &[f64]| {
        (0..means.len()).reduce(|best, at| if means[at] > means[best] { at } else { best })
    };
    let mut means: Vec<f64> = all.iter().map(|(_, scores)| mean(scores)).collect();
    let Some(mut chosen) = best(&means) else { return Ok(Vec::new()) };
    let mut order = vec![chosen];
    let mut so_far = all[chosen].1.clone();
    let mut reached = means[chosen];
    for _ in 0..MOST_ADDED {
        let sums: Vec<Scores> = all.iter().map(|(_, scores)| so_far.plus(scores)).collect();
        means = sums.iter().map(mean).collect();
        chosen = best(&means).unwrap_or(chosen);
        if means[chosen] - reached < LEAST_GAIN {
            break;
        }
        reached = means[chosen];
        so_far = sums.into_iter().nth(chosen).unwrap_or(so_far);
        order.push(chosen);
    }
    let mut members: Vec<Member> = Vec::new();
    for at in order {
        let settings = &all[at].0.settings;
        match members.iter_mut().find(|member| member.settings == *settings) {
            Some(member) => member.times += 1,
            None => members.push(all[at].0.clone()),
        }
    }
    Ok(members)
}

/// A setting as a member, and its scores in deviations; `None` where all in-distribution images have
/// the same one.
///
/// # Errors
/// As [`others::build`].
pub(super) fn member(
    head: &Arc<Head>,
    stats: &Stats,
    setting: &Setting,
    sets: &Sets,
) -> Result<Option<(Member, Scores)>> {
    let score = others::build(head, stats, setting)?;
    let scores = sets.scores(head, &*score);
    let id = ndarray::ArrayView1::from(&scores.id);
    let (mean, deviation) = (id.mean().unwrap_or(0.0), id.std(1.0));
    if !(deviation.is_finite() && deviation > 0.0) {
        return Ok(None);
    }
    // In full, so that other defaults of later versions don't change the sum.
    let mut settings = overrides::in_full(&setting.over(stats.settings()), stats)?;
    for part in registry::parts(&settings.score)? {
        for known in part.about().hyperparameters {
            if let Some(value) = crate::detectors::detector::resolve(known, &settings, stats)? {
                settings.set(known.name, value);
            }
        }
    }
    let scores = scores.map(|score| (score - mean) / deviation);
    Ok(Some((Member { settings, times: 1, mean, deviation }, scores)))
}
