//! Leave classes out: a fifth of the head's rows is dropped, with the statistics of their classes, and
//! these classes' held-out images are out-of-distribution then. Nothing is retrained.

use std::collections::BTreeMap;
use std::sync::Arc;

use ndarray::{ArrayView1, Axis};
use rand_chacha::ChaCha8Rng;

use super::candidates::Candidates;
use super::others;
use super::pseudo::shuffle;
use super::rating::{self, Rated, Sets};
use crate::detectors::knn;
use crate::detectors::registry::DETECTORS;
use crate::error::Result;
use crate::head::Head;
use crate::stats::Stats;

/// Every class is left out once, a fifth of them at a time.
const FOLDS: usize = 5;
/// With so few classes, a fifth is one or two of them: they are left out twice, differently.
const FEW_CLASSES: usize = 10;

/// The mean over folds of every setting's AUROC; empty for fewer than three classes, of which none can
/// be left out. A detector whose tensors can't be split by class is missing.
///
/// # Errors
/// As [`rating::rate`] and [`others::rate`].
pub(super) fn rate(
    head: &Arc<Head>,
    stats: &Stats,
    temperature: f64,
    holdout: &[(usize, ArrayView1<f32>)],
    rng: &mut ChaCha8Rng,
) -> Result<Vec<Rated>> {
    let classes = head.num_classes();
    let mut folds: Vec<Vec<Rated>> = Vec::new();
    for dropped in folds_of(classes, rng) {
        let kept: Vec<usize> = (0..classes).filter(|class| !dropped.contains(class)).collect();
        let (mut sets, mut ood) = (Sets { id: Vec::new(), ood: Vec::new() }, Vec::new());
        for (class, features) in holdout {
            if dropped.contains(class) { &mut ood } else { &mut sets.id }.push(*features);
        }
        if sets.id.len() < 2 || ood.is_empty() {
            continue;
        }
        sets.ood = vec![ood];
        let weights = head.weights().select(Axis(0), &kept);
        let head = Arc::new(Head::new(weights, head.bias().select(Axis(0), &kept))?);
        let stats = of_classes(stats, &kept);
        let candidates = Candidates::new(&head, &stats, temperature, sets.id_matrix().view())?;
        let mut rated = rating::rate(&candidates, &sets)?;
        rated.extend(others::rate(&head, &stats, &sets)?);
        folds.push(rated);
    }
    Ok(mean(folds))
}

/// The classes to drop, fold by fold.
fn folds_of(classes: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<usize>> {
    if classes < 3 {
        return Vec::new();
    }
    let rounds = if classes <= FEW_CLASSES { 2 } else { 1 };
    let mut folds = Vec::new();
    for _ in 0..rounds {
        let mut order: Vec<usize> = (0..classes).collect();
        shuffle(&mut order, rng);
        folds.extend(order.chunks(classes.div_ceil(FOLDS)).map(<[usize]>::to_vec));
    }
    folds
}

/// The statistics of some classes only: their moments, and the parts of tensors that are theirs. What
/// was gathered from all classes together stays, such as a covariance that they share.
fn of_classes(stats: &Stats, kept: &[usize]) -> Stats {
    let mut stats = stats.clone();
    stats.feature_mean = stats.feature_mean.select(Axis(0), kept);
    stats.feature_std = stats.feature_std.select(Axis(0), kept);
    stats.counts = kept.iter().map(|&class| stats.counts[class]).collect();
    stats.labels = kept.iter().map(|&class| stats.labels[class].clone()).collect();
    stats.id_scores.clear();
    let of_kept: Option<Vec<usize>> = stats.tensors.get(knn::CLASSES.name).map(|classes| {
        let rows = classes.iter().enumerate();
        rows.filter(|(_, class)| kept.contains(&(**class as usize))).map(|(row, _)| row).collect()
    });
    // Detectors share tensors: each counts once.
    let specs = DETECTORS.iter().flat_map(|detector| detector.about().tensors);
    let shapes: BTreeMap<&str, &str> = specs.map(|spec| (spec.name, spec.shape)).collect();
    for (name, shape) in shapes {
        let Some(tensor) = stats.tensors.remove(name) else { continue };
        let tensor = match (shape, &of_kept) {
            ("[K, D]", _) => tensor.select(Axis(0), kept),
            ("[K, K]", _) => tensor.select(Axis(0), kept).select(Axis(1), kept),
            ("[n]" | "[n, D]", Some(rows)) => tensor.select(Axis(0), rows),
            // Files of earlier versions don't say of which classes these images are.
            ("[n]" | "[n, D]", None) => continue,
            _ => tensor,
        };
        stats.tensors.insert(name.to_owned(), tensor);
    }
    stats
}

/// The mean of each setting's AUROC over folds, of the scores that all folds have.
fn mean(folds: Vec<Vec<Rated>>) -> Vec<Rated> {
    let number = folds.len() as f64;
    let mut folds = folds.into_iter();
    let Some(mut sums) = folds.next() else { return Vec::new() };
    for fold in folds {
        sums.retain_mut(|sum| {
            let same = fold.iter().find(|rated| rated.score == sum.score);
            let Some(rated) = same.filter(|rated| rated.tried.len() == sum.tried.len()) else {
                return false;
            };
            for ((_, sum), (_, aurocs)) in sum.tried.iter_mut().zip(&rated.tried) {
                sum[0] += aurocs[0];
            }
            true
        });
    }
    let all = sums.iter_mut().flat_map(|rated| &mut rated.tried);
    all.for_each(|(_, sum)| sum[0] /= number);
    sums
}

#[cfg(test)]
mod tests {
    use ndarray::{arr1, arr2};
    use rand_chacha::rand_core::SeedableRng;

    use super::*;
    use crate::stats::tests::example;

    #[test]
    fn every_class_is_left_out_once_and_of_few_twice() {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for (classes, times, largest) in [(3, 2, 1), (10, 2, 2), (11, 1, 3), (64, 1, 13)] {
            let folds = folds_of(classes, &mut rng);
            assert!(folds.iter().all(|fold| fold.len() <= largest), "{classes}: {folds:?}");
            for class in 0..classes {
                let found = folds.iter().filter(|fold| fold.contains(&class)).count();
                assert_eq!(found, times, "class {class} of {classes}");
            }
        }
        assert!(folds_of(2, &mut rng).is_empty());
    }

    #[test]
    fn what_belongs_to_a_class_goes_with_it() {
        let stats = example()
            .with_tensor("klm.templates", arr2(&[[1.0, 2.0], [3.0, 4.0]]).into_dyn())
            .with_tensor("knn.class", arr1(&[1.0, 0.0, 1.0]).into_dyn())
            .with_tensor("nnguide.energy", arr1(&[5.0, 6.0, 7.0]).into_dyn())
            .with_tensor("ras.profile", arr1(&[8.0, 9.0, 10.0]).into_dyn());
        let kept = of_classes(&stats, &[1]);
        assert_eq!((kept.counts(), kept.labels().len()), (&[2][..], 1));
        assert_eq!(kept.feature_mean().row(0), stats.feature_mean().row(1));
        let values = |name: &str| kept.tensors()[name].iter().copied().collect::<Vec<_>>();
        assert_eq!(values("klm.templates"), [4.0]);
        assert_eq!(values("nnguide.energy"), [5.0, 7.0]);
        assert_eq!(values("ras.profile"), [8.0, 9.0, 10.0]);
        let mut unnamed = stats;
        unnamed.tensors.remove("knn.class");
        assert!(!of_classes(&unnamed, &[1]).tensors().contains_key("nnguide.energy"));
    }
}
