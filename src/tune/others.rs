//! The detectors that [`super::candidates`] has no faster way for, setting by setting.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::rating::{Rated, Sets};
use super::setting::Setting;
use crate::detectors::detector::{Context, Score, Tried};
use crate::detectors::registry;
use crate::error::{ErrorKind, Result};
use crate::head::Head;
use crate::stats::{AUTO, Stats};

/// What [`super::candidates`] rates.
const FAST: [&str; 5] = ["energy", "itp", "react", "held", "held_t"];

/// Every other detector that the statistics suffice for, under every setting that it names
/// ([`About::tried`](crate::detectors::detector::About::tried)).
///
/// # Errors
/// [`ErrorKind::Stats`](crate::ErrorKind::Stats) for impossible stored values.
pub(super) fn rate(head: &Arc<Head>, stats: &Stats, sets: &Sets) -> Result<Vec<Rated>> {
    let mut families = Vec::new();
    for detector in registry::available(head) {
        let about = detector.about();
        if about.only_combined || about.name == AUTO || FAST.contains(&about.name) {
            continue;
        }
        let mut tried = Vec::new();
        for values in product(about.tried) {
            let setting = Setting::Other { score: about.name, values };
            let score = match build(head, stats, &setting) {
                Err(error) if error.kind() == ErrorKind::Stats => break,
                built => built?,
            };
            let scores = sets.scores(head, &*score);
            let all = scores.id.iter().chain(scores.ood.iter().flatten());
            // A detector that can't rate one of these images rates none.
            if all.clone().any(|score| !score.is_finite()) {
                break;
            }
            tried.push((setting, scores.aurocs()));
        }
        if !tried.is_empty() {
            families.push(Rated { score: about.name, tried });
        }
    }
    Ok(families)
}

/// The score under a setting.
///
/// # Errors
/// As [`registry::build`].
pub(super) fn build(head: &Arc<Head>, stats: &Stats, setting: &Setting) -> Result<Box<dyn Score>> {
    let (settings, pruning) = (&setting.over(stats.settings()), &OnceLock::new());
    registry::build(&Context { head, stats, settings, pruning, earlier: None })
}

/// Every choice of one value for each hyperparameter; one empty choice of none.
fn product(tried: &[Tried]) -> Vec<BTreeMap<&'static str, f64>> {
    tried.iter().fold(vec![BTreeMap::new()], |chosen, &Tried { of, values }| {
        let with = |chosen: &BTreeMap<_, _>| {
            let chosen = chosen.clone();
            values.iter().map(move |&value| {
                let mut chosen = chosen.clone();
                chosen.insert(of.name, value);
                chosen
            })
        };
        chosen.iter().flat_map(with).collect()
    })
}
