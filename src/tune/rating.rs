//! The AUROC of every candidate setting against sets of images.

use ndarray::{Array1, Array2, ArrayView1};

use super::candidates::{self, Candidates, HELD_LAMBDA, W_STEPS};
use super::pseudo::Kind;
use super::report::{Candidate, Family};
use super::rule::NEAR_ALLOWANCE;
use super::setting::Setting;
use super::weights::Weights;
use crate::detectors::detector::Score;
use crate::detectors::held_t::weight_by_spread;
use crate::error::Result;
use crate::head::Head;

/// In-distribution images' features, and those of sets of others.
pub(super) struct Sets<'a> {
    pub id: Vec<ArrayView1<'a, f32>>,
    pub ood: Vec<Vec<ArrayView1<'a, f32>>>,
}

impl<'a> Sets<'a> {
    /// One value for each image.
    fn map(&self, mut of: impl FnMut(ArrayView1<'a, f32>) -> f64) -> Scores {
        let mut all = |rows: &[ArrayView1<'a, f32>]| rows.iter().map(|&row| of(row)).collect();
        Scores { id: all(&self.id), ood: self.ood.iter().map(|set| all(set)).collect() }
    }

    /// The scores of every image.
    pub fn scores(&self, head: &Head, score: &dyn Score) -> Scores {
        self.map(|row| score.score(row, head.logits(row).view()))
    }

    /// The in-distribution images' features, `[n, D]`.
    pub fn id_matrix(&self) -> Array2<f32> {
        let features = self.id.first().map_or(0, |row| row.len());
        let values = self.id.iter().flat_map(|row| row.iter().copied()).collect();
        Array2::from_shape_vec((self.id.len(), features), values).expect("whole rows")
    }
}

/// One score of every image.
#[derive(Clone)]
pub(super) struct Scores {
    pub id: Vec<f64>,
    pub ood: Vec<Vec<f64>>,
}

impl Scores {
    /// Every score changed.
    pub fn map(&self, of: impl Fn(f64) -> f64) -> Self {
        let all = |scores: &Vec<f64>| scores.iter().map(|&score| of(score)).collect();
        Self { id: all(&self.id), ood: self.ood.iter().map(all).collect() }
    }

    /// The sum with other scores of the same images.
    pub fn plus(&self, other: &Self) -> Self {
        let sum = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a + b).collect();
        let ood = self.ood.iter().zip(&other.ood).map(|(a, b)| sum(a, b)).collect();
        Self { id: sum(&self.id, &other.id), ood }
    }

    /// AUROC of the in-distribution images against each set, in percent.
    pub fn aurocs(&self) -> Vec<f64> {
        let mut id = self.id.clone();
        id.sort_by(f64::total_cmp);
        self.ood.iter().map(|set| candidates::auroc(&id, set.iter().copied())).collect()
    }
}

/// Every setting of one score, with its AUROC against each set.
pub(super) struct Rated {
    pub score: &'static str,
    pub tried: Vec<(Setting, Vec<f64>)>,
}

/// Energy, ITP, ReAct, HELD and HELD+T, many settings at once.
///
/// # Errors
/// As [`Candidates::scores`].
pub(super) fn rate(candidates: &Candidates, sets: &Sets) -> Result<Vec<Rated>> {
    // A row for each image; its last column is T.
    let rows = |images: &[ArrayView1<f32>]| -> Result<Vec<Vec<f64>>> {
        images.iter().map(|&features| candidates.scores(features)).collect()
    };
    let id = rows(&sets.id)?;
    let ood = sets.ood.iter().map(|set| rows(set)).collect::<Result<Vec<_>>>()?;
    let aurocs = |score: &dyn Fn(&[f64]) -> f64| {
        let all = |rows: &[Vec<f64>]| rows.iter().map(|row| score(row)).collect();
        Scores { id: all(&id), ood: ood.iter().map(|set| all(set)).collect() }.aurocs()
    };
    let settings = candidates.settings();
    let mut families: Vec<Rated> = Vec::new();
    let mut push = |setting: Setting, aurocs| {
        let score = setting.score();
        match families.last_mut() {
            Some(last) if last.score == score => last.tried.push((setting, aurocs)),
            _ => families.push(Rated { score, tried: vec![(setting, aurocs)] }),
        }
    };
    for (column, setting) in settings.iter().enumerate() {
        push(setting.clone(), aurocs(&|row| row[column]));
    }
    let last = settings.len();
    let t: Array1<f64> = id.iter().map(|row| row[last]).collect();
    for (step, &lambda) in HELD_LAMBDA.iter().enumerate() {
        let column = last - HELD_LAMBDA.len() + step;
        let held: Array1<f64> = id.iter().map(|row| row[column]).collect();
        for step in 0..W_STEPS {
            let w = candidates::w(step);
            let a = weight_by_spread(w, &held, &t);
            let setting = Setting::HeldT { lambda, w, a };
            push(setting, aurocs(&|row| row[column] - a * row[last]));
        }
    }
    Ok(families)
}

/// Picks a setting of each score by both rules; the sets are the kinds of pseudo-OOD images. `energy`
/// has Energy's mean and near mean; without it, Energy is the first score.
pub(super) fn families(
    rated: Vec<Rated>,
    weights: &Weights,
    mut energy: Option<(f64, f64)>,
) -> Vec<Family> {
    let family = |Rated { score, tried }: Rated| {
        let tried: Vec<Candidate> = tried
            .into_iter()
            .map(|(setting, auroc)| Candidate {
                setting,
                mean: weights.mean(&auroc),
                near_mean: near_mean(&auroc),
                auroc,
            })
            .collect();
        let (least, least_near) = *energy.get_or_insert((tried[0].mean, tried[0].near_mean));
        let pick = |least_near| {
            let pick = best(&tried, least_near);
            // The first pair, p 0 and lambda infinity, prunes next to nothing.
            if score == "itp" && tried[pick].mean < least { 0 } else { pick }
        };
        let (r1, r_star) = (pick(f64::NEG_INFINITY), pick(least_near - NEAR_ALLOWANCE));
        Family { score, r1, r_star, tried }
    };
    rated.into_iter().map(family).collect()
}

fn near_mean(auroc: &[f64]) -> f64 {
    let kinds = Kind::ALL.iter().zip(auroc);
    let near: Vec<f64> =
        kinds.filter(|(kind, _)| kind.is_near()).map(|(_, &auroc)| auroc).collect();
    near.iter().sum::<f64>() / near.len() as f64
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
