//! From detectors to the score of a name such as `msp`, `itp+react` or `msp+itp`.

use std::sync::Arc;

use ndarray::{Array1, ArrayView1};

use super::detector::{Context, LogitScore, PostHocDetector, PrunedHead, Score, Shape};
use super::energy;
use super::gradient::of_logits;
use crate::error::{Error, Result};
use crate::head::Head;

/// The score of `base` on features that the modifiers reshape and on a head that one of them may
/// prune.
///
/// # Errors
/// [`ErrorKind::Options`](crate::ErrorKind::Options) if they can't be combined,
/// [`ErrorKind::Stats`](crate::ErrorKind::Stats) if the stats file lacks what one of them needs.
pub fn compose(
    context: &Context,
    base: &dyn PostHocDetector,
    modifiers: &[&dyn PostHocDetector],
) -> Result<Box<dyn Score>> {
    let (mut shapes, mut pruned) = (Vec::new(), None);
    for modifier in modifiers {
        if let Some(shape) = modifier.shape(context)? {
            shapes.push(shape);
        } else if let Some(head) = modifier.pruned_head(context)? {
            if pruned.replace(head).is_some() {
                return Err(impossible(context, "the head is pruned twice"));
            }
        } else {
            let why = format!("{} modifies nothing", modifier.about().name);
            return Err(impossible(context, &why));
        }
    }
    let mut score = match pruned {
        None => alone(context, base)?,
        Some(head) => on_pruned_head(context, base, head)?,
    };
    // The first modifier sees the features first.
    for shape in shapes.into_iter().rev() {
        score = Box::new(Shaped { head: context.head.clone(), shape, inner: score });
    }
    Ok(score)
}

fn impossible(context: &Context, why: &str) -> Error {
    Error::options(format!(
        "the score \"{}\" can't be composed: {why}; `+` takes a detector that reshapes features or \
         prunes the head",
        context.settings.score
    ))
}

fn alone(context: &Context, base: &dyn PostHocDetector) -> Result<Box<dyn Score>> {
    if base.about().only_combined {
        return Err(impossible(context, "it stands in combinations only"));
    }
    if let Some(score) = base.score(context)? {
        return Ok(score);
    }
    if let Some(rate) = base.logit_score(context)? {
        return Ok(Box::new(OnLogits { rate, head: None }));
    }
    // What changes features or head is rated by energy, as its publication does.
    let rate = energy::rate(context)?;
    if let Some(head) = base.pruned_head(context)? {
        return Ok(Box::new(OnLogits { rate, head: Some(head) }));
    }
    let Some(shape) = base.shape(context)? else {
        return Err(impossible(context, &format!("{} has no score", base.about().name)));
    };
    let inner = Box::new(OnLogits { rate, head: None });
    Ok(Box::new(Shaped { head: context.head.clone(), shape, inner }))
}

fn on_pruned_head(
    context: &Context,
    base: &dyn PostHocDetector,
    head: Box<dyn PrunedHead>,
) -> Result<Box<dyn Score>> {
    if let Some(rate) = base.logit_score(context)? {
        return Ok(Box::new(OnLogits { rate, head: Some(head) }));
    }
    let name = base.about().name;
    base.score_pruned(context, head)?
        .ok_or_else(|| impossible(context, &format!("{name} reads no pruned head")))
}

/// A score of the logits alone, pruned or not.
struct OnLogits {
    rate: LogitScore,
    /// What prunes; `None` for the model's own logits.
    head: Option<Box<dyn PrunedHead>>,
}

impl Score for OnLogits {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        match &self.head {
            None => (self.rate)(logits),
            Some(head) => (self.rate)(head.logits(features).view()),
        }
    }

    fn gradient(&self, head: &Head, features: ArrayView1<f32>) -> Option<Array1<f32>> {
        Some(match &self.head {
            None => head.pull_back(of_logits(&self.rate, head.logits(features).view()).view()),
            Some(pruned) => {
                let of_logits = of_logits(&self.rate, pruned.logits(features).view());
                pruned.pull_back(features, of_logits.view())
            }
        })
    }
}

/// Rates reshaped features and the logits that follow from them.
struct Shaped {
    head: Arc<Head>,
    shape: Box<dyn Shape>,
    inner: Box<dyn Score>,
}

impl Score for Shaped {
    fn score(&self, features: ArrayView1<f32>, _logits: ArrayView1<f64>) -> f64 {
        let mut features = features.to_vec();
        self.shape.apply(&mut features);
        let features = ArrayView1::from(&features);
        self.inner.score(features, self.head.logits(features).view())
    }
}
