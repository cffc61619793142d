//! The list of all detectors, and the names composed of them.

use ndarray::{ArrayView1, s};

use super::compose::compose;
use super::detector::{Context, PostHocDetector, Score};
use super::hyperparameters::Hyperparameter;
use super::*;
use crate::error::{Error, Result};
use crate::head::Head;

/// Every detector, in the order in which tables list them.
pub static DETECTORS: &[&dyn PostHocDetector] = &[
    &msp::Msp,
    &odin::Odin,
    &mls::Mls,
    &energy::Energy,
    &generalized_entropy::Gen,
    &joint_energy::JointEnergy,
    &gradnorm::GradNorm,
    &gradnorm::GradNormLeaf,
    &klm::KlMatching,
    &knn::Knn,
    &knn_means::KnnMeans,
    &nnguide::NnGuide,
    &mahalanobis::Mahalanobis,
    &mahalanobis_pp::MDS_PP,
    &mahalanobis_pp::RMDS_PP,
    &vim::Vim,
    &fdbd::Fdbd,
    &nci::Nci,
    &weiper_kld::WeiPerKld,
    &react::React,
    &ras::Ras,
    &bats::Bats,
    &laps::Laps,
    &vra::Vra,
    &ash::ASH_P,
    &ash::ASH_B,
    &ash::ASH_S,
    &scale::Scale,
    &dice::Dice,
    &opnp::Opnp,
    &line::Line,
    &itp::CRP,
    &itp::FTP,
    &itp::ITP,
    &held::Held,
    &held_t::HeldT,
    &cadref::CadRef,
    &auto::Auto,
];

/// Names of all scores: each detector, and the combinations that publications report.
pub fn names() -> impl Iterator<Item = String> {
    DETECTORS.iter().flat_map(|detector| {
        let about = detector.about();
        let alone = (!about.only_combined).then(|| about.name.to_owned());
        alone.into_iter().chain(about.combined_names())
    })
}

/// The detector of this name.
pub fn find(name: &str) -> Option<&'static dyn PostHocDetector> {
    DETECTORS.iter().copied().find(|detector| detector.about().name == name)
}

/// The detectors that a name is composed of, the rated one first.
///
/// # Errors
/// [`ErrorKind::Options`](crate::ErrorKind::Options) for an unknown name, with the nearest known one.
pub fn parts(name: &str) -> Result<Vec<&'static dyn PostHocDetector>> {
    name.split('+')
        .map(|part| {
            find(part).ok_or_else(|| {
                let known: Vec<String> = names().collect();
                let meant = nearest(name, known.iter().map(String::as_str));
                Error::options(format!(
                    "there is no score \"{name}\"{meant}; choose one of {}",
                    known.join(", ")
                ))
            })
        })
        .collect()
}

/// The detectors that this last layer allows.
pub fn available(head: &Head) -> impl Iterator<Item = &'static dyn PostHocDetector> {
    DETECTORS.iter().copied().filter(|detector| detector.about().obstacle(head).is_none())
}

/// Why a model with this last layer can't be rated by a name; `None` if it can.
pub fn obstacle(parts: &[&dyn PostHocDetector], head: &Head) -> Option<&'static str> {
    parts.iter().find_map(|part| part.about().obstacle(head))
}

/// Checks that a model with this last layer can be rated by a name.
///
/// # Errors
/// [`ErrorKind::Options`](crate::ErrorKind::Options) otherwise, with the names that it can be rated
/// by.
pub fn check(name: &str, parts: &[&dyn PostHocDetector], head: &Head) -> Result<()> {
    let Some(obstacle) = obstacle(parts, head) else { return Ok(()) };
    let others: Vec<&str> = available(head).map(|detector| detector.about().name).collect();
    Err(Error::options(format!(
        "the score \"{name}\" can't rate this model: {obstacle} ({}); choose one of {}",
        head.opaque_reason().unwrap_or_default(),
        others.join(", ")
    )))
}

/// Builds the score that the settings name.
///
/// # Errors
/// [`ErrorKind::Options`](crate::ErrorKind::Options) for an unknown or impossible name, or one that
/// this model can't be rated by, [`ErrorKind::Stats`](crate::ErrorKind::Stats) if the stats file
/// lacks what the score needs.
pub fn build(context: &Context) -> Result<Box<dyn Score>> {
    let name = &context.settings.score;
    let parts = parts(name)?;
    check(name, &parts, context.head)?;
    let (base, modifiers) = parts.split_first().expect("a name has a part");
    if context.head.is_linear() {
        return compose(context, *base, modifiers);
    }
    let features = context.head.num_penultimate();
    let stats = &context.stats.of_first(features);
    let inner = compose(&Context { stats, earlier: None, ..*context }, *base, modifiers)?;
    Ok(Box::new(OfPenultimate { features, inner }))
}

/// Takes the logits off the features that end with them.
struct OfPenultimate {
    features: usize,
    inner: Box<dyn Score>,
}

impl Score for OfPenultimate {
    fn score(&self, features: ArrayView1<f32>, logits: ArrayView1<f64>) -> f64 {
        self.inner.score(features.slice(s![..self.features]), logits)
    }
}

/// Every hyperparameter of every detector.
pub fn hyperparameters() -> impl Iterator<Item = &'static Hyperparameter> {
    DETECTORS.iter().flat_map(|detector| detector.about().hyperparameters)
}

/// The hyperparameter with this full or short name.
///
/// # Errors
/// [`ErrorKind::Options`](crate::ErrorKind::Options) for an unknown name, with the nearest known one.
pub fn hyperparameter(name: &str) -> Result<&'static Hyperparameter> {
    let found = hyperparameters().find(|known| known.name == name || known.short == Some(name));
    found.ok_or_else(|| {
        let known = hyperparameters().flat_map(|h| [Some(h.name), h.short]).flatten();
        let meant = nearest(name, known);
        Error::options(format!(
            "there is no hyperparameter \"{name}\"{meant}; known are {}",
            hyperparameters().map(|h| h.name).collect::<Vec<_>>().join(", ")
        ))
    })
}

/// `, did you mean "X"?` for the most similar name, if one is similar at all.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let similarity =
        |known: &str| strsim::jaro_winkler(&name.to_lowercase(), &known.to_lowercase());
    known
        .map(|known| (similarity(known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(similarity, _)| *similarity > 0.7)
        .map_or(String::new(), |(_, known)| format!("; did you mean \"{known}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_hyperparameters_belong_to_their_detector() {
        let mut all: Vec<String> = names().collect();
        all.sort();
        let unique = all.len();
        all.dedup();
        assert_eq!(all.len(), unique);
        for detector in DETECTORS {
            let about = detector.about();
            let texts = [about.title, about.summary, about.reference, about.formula];
            assert!(texts.iter().all(|text| !text.is_empty()), "{}", about.name);
            assert!(!about.inputs.is_empty(), "{}", about.name);
            for known in about.hyperparameters {
                assert_eq!(hyperparameter(known.name).unwrap(), known);
                let default = known.default.map(|d| [d.cifar10, d.cifar100, d.imagenet]);
                for value in default.iter().flatten() {
                    assert!(known.range.contains(*value), "{}: {value}", known.name);
                }
            }
            for tried in about.tried {
                let of_registry = hyperparameter(tried.of.name).unwrap();
                assert_eq!(of_registry, tried.of);
                let are_possible =
                    |value: &f64| value.is_finite() && tried.of.range.contains(*value);
                assert!(tried.values.iter().all(are_possible), "{}", tried.of.name);
                assert!(!tried.values.is_empty(), "{}", tried.of.name);
            }
            about.combinations.iter().for_each(|with| assert!(find(with).is_some(), "{with}"));
        }
    }

    #[test]
    fn unknown_names_meet_their_nearest() {
        let of = |name| hyperparameter(name).unwrap_err().to_string();
        assert!(of("lamda").contains("did you mean \"lambda\""), "{}", of("lamda"));
        assert!(of("dice.q").contains("did you mean \"dice.p\""), "{}", of("dice.q"));
        let of = |name| parts(name).err().unwrap().to_string();
        assert!(of("enrgy").contains("did you mean \"energy\""), "{}", of("enrgy"));
        assert!(!of("zzz").contains("did you mean"), "{}", of("zzz"));
    }
}
