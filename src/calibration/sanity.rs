//! Mistakes that show in the images' features: a wrong order of classes, a wrong preprocessing, images
//! that occur twice.
//!
//! None of them is an error in itself: every file can be read, and every score computed. They are
//! found by what the model says to images whose class is known.

mod saved;

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use ndarray::ArrayView1;
use serde::Serialize;

use crate::error::Result;
use crate::head::Head;
use crate::numeric::fingerprint::fingerprint;

/// Of fewer images nothing is said about accuracy, predictions and spread.
const LEAST_IMAGES: u64 = 20;
/// A trained network calls more of its training images by their class than this.
const LOW_ACCURACY: f64 = 0.5;
/// A class is taken for another one's row where so many of its images are called like that one, and
/// at most [`STILL_OWN`] by its own name.
const CALLED_OTHERWISE: f64 = 0.5;
const STILL_OWN: f64 = 0.1;
/// Nearly all images are of one predicted class.
const ONE_CLASS: f64 = 0.9;
/// Features of natural images vary by a third to all of their length; of constant input by 0.
const LEAST_SPREAD: f64 = 0.05;
/// Classes or images that are named one by one.
const NAMED: usize = 10;

/// What kind of mistake it probably is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Mistake {
    /// The labels are in another order than the model's rows.
    ClassOrder,
    /// The model calls few images by their class.
    LowAccuracy,
    /// The model calls nearly all images the same.
    OneClass,
    /// The features are nearly the same for all images.
    NoSpread,
    /// Held-out images are among the training images.
    Overlap,
    /// Images occur twice.
    Duplicates,
    /// The threshold turns in-distribution images away.
    Threshold,
}

/// A probable mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind.
    pub mistake: Mistake,
    /// What was seen, and what to do, in a sentence.
    pub message: String,
}

/// Looks for mistakes in images' features, one image after the other.
pub struct Sanity {
    head: Arc<Head>,
    /// How many images of a class the model calls so: (class, predicted).
    called: BTreeMap<(usize, usize), u64>,
    /// Images whose class is known.
    labelled: u64,
    images: u64,
    sum: Vec<f64>,
    sum_of_squares: Vec<f64>,
    seen: HashSet<u64>,
    held_out: Vec<u64>,
}

impl Sanity {
    /// For the images of a model with this head.
    pub fn new(head: Arc<Head>) -> Self {
        let features = head.num_features();
        Self {
            head,
            called: BTreeMap::new(),
            labelled: 0,
            images: 0,
            sum: vec![0.0; features],
            sum_of_squares: vec![0.0; features],
            seen: HashSet::new(),
            held_out: Vec::new(),
        }
    }

    /// Takes note of the features `[D]` of an image, and of its class where that is known.
    ///
    /// # Errors
    /// As [`Head::check`] and [`Head::check_class`].
    pub fn add(&mut self, class: Option<usize>, features: ArrayView1<f32>) -> Result<()> {
        self.head.check(features)?;
        if let Some(class) = class {
            self.head.check_class(class)?;
            self.add_called(class, self.head.predict(features));
        }
        self.add_features(features);
        Ok(())
    }

    /// Takes note that the model calls an image of a class so.
    pub(super) fn add_called(&mut self, class: usize, predicted: usize) {
        *self.called.entry((class, predicted)).or_default() += 1;
        self.labelled += 1;
    }

    /// Takes note of the features `[D]` of an image, which were checked.
    pub(super) fn add_features(&mut self, features: ArrayView1<f32>) {
        self.images += 1;
        for ((sum, squares), &h) in self.sum.iter_mut().zip(&mut self.sum_of_squares).zip(features)
        {
            *sum += f64::from(h);
            *squares += f64::from(h) * f64::from(h);
        }
        self.seen.insert(hash(features));
    }

    /// Takes note of the features `[D]` of an image that should be none of the others.
    ///
    /// # Errors
    /// As [`Head::check`].
    pub fn add_holdout(&mut self, features: ArrayView1<f32>) -> Result<()> {
        self.head.check(features)?;
        self.held_out.push(hash(features));
        Ok(())
    }

    /// Number of images so far, held-out ones not counted.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// The share of images that the model calls by their class, 0 to 1; `None` where none is known.
    pub fn accuracy(&self) -> Option<f64> {
        let right = self.called.iter().filter(|((class, called), _)| class == called);
        let right: u64 = right.map(|(_, &n)| n).sum();
        (self.labelled > 0).then(|| right as f64 / self.labelled as f64)
    }

    /// How far features lie from their mean, in lengths of the mean: the root of the summed variances
    /// by its norm. `None` without images.
    pub fn spread(&self) -> Option<f64> {
        let n = self.images as f64;
        let lengths = self.sum.iter().zip(&self.sum_of_squares).map(|(&sum, &squares)| {
            let mean = sum / n;
            ((squares / n - mean * mean).max(0.0), mean * mean)
        });
        let (variance, length) = lengths.fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d));
        (self.images > 0).then(|| if length > 0.0 { (variance / length).sqrt() } else { 0.0 })
    }

    /// What is probably wrong, given the name of each class.
    pub fn findings(&self, labels: &[String]) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut find = |mistake, message| findings.push(Finding { mistake, message });
        if self.images >= LEAST_IMAGES {
            let spread = self.spread().unwrap_or(1.0);
            let one_class = self.one_class(labels);
            if spread < LEAST_SPREAD {
                find(
                    Mistake::NoSpread,
                    format!(
                        "the features hardly vary ({:.2} % of their length): the model sees nearly \
                         the same in every image; check mean and std of the preprocessing (for \
                         values from 0 to 1, not to 255)",
                        100.0 * spread
                    ),
                );
            } else if let Some(message) = one_class {
                find(Mistake::OneClass, message);
            } else if let Some(message) = self.class_order(labels) {
                find(Mistake::ClassOrder, message);
            } else if let Some(accuracy) = self.accuracy().filter(|&share| share < LOW_ACCURACY) {
                find(
                    Mistake::LowAccuracy,
                    format!(
                        "the model calls only {:.1} % of the images by their class; check the \
                         preprocessing (size, mean and std, RGB or BGR), the labels, and that these \
                         are images of what the model was trained for",
                        100.0 * accuracy
                    ),
                );
            }
        }
        let overlap = self.held_out.iter().filter(|&hash| self.seen.contains(hash)).count();
        if overlap > 0 {
            find(
                Mistake::Overlap,
                format!(
                    "{overlap} of {} held-out images are among the training images: thresholds and \
                     p-values come out too strict; hold out images that the model was not trained \
                     on",
                    self.held_out.len()
                ),
            );
        }
        let distinct: HashSet<&u64> = self.held_out.iter().collect();
        let duplicates = self.images.saturating_sub(self.seen.len() as u64);
        let twice = duplicates + (self.held_out.len() - distinct.len()) as u64;
        if twice > 0 {
            find(
                Mistake::Duplicates,
                format!(
                    "{twice} of {} images are copies of others (the same features); leave them out, \
                     or they count twice",
                    self.images + self.held_out.len() as u64
                ),
            );
        }
        findings
    }

    /// What is probably wrong where a threshold for the share `tpr` accepts another one of these
    /// images, which are in-distribution.
    pub fn acceptance(&self, accepted: Option<f64>, tpr: f64) -> Option<Finding> {
        let accepted = accepted.filter(|_| self.images >= LEAST_IMAGES)?;
        // Three standard errors, and the ten points that images of another source may well lose.
        let chance = 3.0 * (tpr * (1.0 - tpr) / self.images as f64).sqrt();
        (accepted < tpr - 0.1 - chance).then(|| Finding {
            mistake: Mistake::Threshold,
            message: format!(
                "the threshold is set to accept {:.0} % of in-distribution images, but accepts {:.1} % \
                 of these; if they are in-distribution, check that they are prepared as the training \
                 images were, or calibrate again with --holdout and such images",
                100.0 * tpr,
                100.0 * accepted
            ),
        })
    }

    /// Images of a class, and how many of them are called what.
    fn of_class(&self, class: usize) -> impl Iterator<Item = (usize, u64)> {
        self.called.range((class, 0)..=(class, usize::MAX)).map(|(&(_, called), &n)| (called, n))
    }

    fn one_class(&self, labels: &[String]) -> Option<String> {
        let mut by_prediction = BTreeMap::<usize, (u64, u64)>::new();
        for (&(class, called), &n) in &self.called {
            by_prediction.entry(called).or_default().0 += n;
            by_prediction.entry(class).or_default().1 += n;
        }
        let share = |n: u64| n as f64 / self.labelled as f64;
        let (class, (called, are)) = by_prediction.into_iter().max_by_key(|&(_, (n, _))| n)?;
        (share(called) >= ONE_CLASS && share(are) < ONE_CLASS / 2.0).then(|| {
            format!(
                "the model calls {:.1} % of the images \"{}\", but {:.1} % are; check the \
                 preprocessing: RGB or BGR, values from 0 to 1 or to 255, mean and std, size",
                100.0 * share(called),
                labels[class],
                100.0 * share(are)
            )
        })
    }

    fn class_order(&self, labels: &[String]) -> Option<String> {
        let classes: HashSet<usize> = self.called.keys().map(|&(class, _)| class).collect();
        let mut classes: Vec<usize> = classes.into_iter().collect();
        classes.sort_unstable();
        let others: Vec<(usize, usize)> = classes
            .into_iter()
            .filter_map(|class| {
                let images: u64 = self.of_class(class).map(|(_, n)| n).sum();
                let own: u64 = self.of_class(class).filter(|c| c.0 == class).map(|c| c.1).sum();
                let (called, most) = self.of_class(class).max_by_key(|&(_, n)| n)?;
                let share = |n: u64| n as f64 / images as f64;
                let moved = share(most) >= CALLED_OTHERWISE && share(own) <= STILL_OWN;
                (moved && images > 1).then_some((class, called))
            })
            .collect();
        // One class alone can be badly learnt; in another order at least two have changed places, and
        // hardly two are called the same.
        let targets: HashSet<usize> = others.iter().map(|&(_, called)| called).collect();
        if targets.len() < 2 || 5 * targets.len() < 4 * others.len() {
            return None;
        }
        let mut message = format!(
            "the model calls {:.1} % of the images by their class, and most images of {} class(es) by \
             another's name: probably the model has its classes in another order (",
            100.0 * self.accuracy().unwrap_or(0.0),
            others.len()
        );
        for (at, &(class, called)) in others.iter().take(NAMED).enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            let _ = write!(message, "{comma}\"{}\" is output {called}", labels[class]);
        }
        if others.len() > NAMED {
            message.push_str(", ...");
        }
        message.push_str("); name the classes in the model's order (--labels)");
        Some(message)
    }
}

/// Of features bit by bit: the same image gives the same ones.
fn hash(features: ArrayView1<f32>) -> u64 {
    fingerprint(features) as u64
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2};

    use super::*;

    const CLASSES: usize = 4;

    /// Images of each class, as a model sees them that calls class k what `called` says.
    fn images(called: impl Fn(usize) -> usize, each: usize) -> Sanity {
        let head = Head::new(Array2::eye(CLASSES), Array1::zeros(CLASSES)).unwrap();
        let mut sanity = Sanity::new(Arc::new(head));
        for i in 0..each * CLASSES {
            let class = i % CLASSES;
            let mut features = Array1::from_elem(CLASSES, 0.1 + i as f32 * 1e-3);
            features[called(class)] = 2.0 + 0.5 * (i % 5) as f32;
            sanity.add(Some(class), features.view()).unwrap();
        }
        sanity
    }

    fn labels() -> Vec<String> {
        ["ant", "bee", "cat", "dog"].map(str::to_owned).to_vec()
    }

    fn found(sanity: &Sanity) -> Vec<Mistake> {
        sanity.findings(&labels()).iter().map(|finding| finding.mistake).collect()
    }

    #[test]
    fn nothing_is_said_of_images_that_are_right_or_few() {
        assert_eq!(found(&images(|class| class, 10)), []);
        assert_eq!(found(&images(|class| 3 - class, 4)), []);
    }

    #[test]
    fn another_order_of_classes_is_named_with_the_mapping() {
        let reversed = images(|class| 3 - class, 10);
        assert_eq!(reversed.accuracy(), Some(0.0));
        let findings = reversed.findings(&labels());
        assert_eq!(findings[0].mistake, Mistake::ClassOrder);
        let message = &findings[0].message;
        for part in ["\"ant\" is output 3", "\"dog\" is output 0", "--labels", "0.0 %"] {
            assert!(message.contains(part), "{part}: {message}");
        }
        // Two of four classes swapped: half of the images are right.
        let swapped = images(|class| [0, 2, 1, 3][class], 10);
        let message = &swapped.findings(&labels())[0].message;
        assert!(message.contains("\"bee\" is output 2, \"cat\" is output 1"), "{message}");
        assert!(!message.contains("ant"), "{message}");
    }

    #[test]
    fn one_predicted_class_constant_features_and_low_accuracy_are_named() {
        assert_eq!(found(&images(|_| 1, 10)), [Mistake::OneClass]);
        let mut same = images(|class| class, 0);
        for i in 0..40 {
            let features = Array1::from_elem(CLASSES, 5.0 + i as f32 * 1e-3);
            same.add(Some(i % CLASSES), features.view()).unwrap();
        }
        assert_eq!(found(&same), [Mistake::NoSpread]);
        let mut low = images(|class| class, 4);
        for i in 0..200usize {
            let mut features = Array1::from_elem(CLASSES, 0.2 + i as f32 * 1e-3);
            features[i / 4 % CLASSES] = 2.0;
            low.add(Some(i % CLASSES), features.view()).unwrap();
        }
        assert_eq!(found(&low), [Mistake::LowAccuracy]);
    }

    #[test]
    fn copies_and_overlap_are_counted() {
        let mut sanity = images(|class| class, 10);
        let held_out = Array1::from_vec(vec![2.0, 0.1, 0.1, 0.1]);
        sanity.add_holdout(held_out.view()).unwrap();
        assert_eq!(found(&sanity), [Mistake::Overlap]);
        sanity.add_holdout(held_out.view()).unwrap();
        sanity.add(None, held_out.view()).unwrap();
        let findings = sanity.findings(&labels());
        assert!(findings[0].message.starts_with("2 of 2 held-out images"), "{findings:?}");
        assert!(findings[1].message.starts_with("2 of 43 images are copies"), "{findings:?}");
    }

    #[test]
    fn a_threshold_that_turns_images_away_is_named() {
        let sanity = images(|class| class, 50);
        assert!(sanity.acceptance(Some(0.93), 0.95).is_none());
        let finding = sanity.acceptance(Some(0.6), 0.95).unwrap();
        assert!(finding.message.contains("accepts 60.0 %"), "{}", finding.message);
        assert!(sanity.acceptance(None, 0.95).is_none());
    }
}
