//! Scores of sets of images, and how well they tell the sets apart.

use std::time::Instant;

use crate::dataset::{Dataset, Entry, decode};
use itp_ood::metrics::{Fpr95, Intervals, Separation};
use itp_ood::{Detector, Head, Options, Result};
use ndarray::{Array2, ArrayView2};

use super::result::{Acceptance, Row, in_percent, percent};
use super::shift::{self, Shifted};
use crate::html::Scored;
use crate::options::SettingsArgs;
use crate::pipeline::{Pipeline, is_per_image, matrix};
use crate::tally::Tally;

/// The features of a set of images.
pub struct Set {
    pub source: Dataset,
    pub features: Array2<f32>,
    pub tally: Tally,
}

impl Set {
    pub fn name(&self) -> &str {
        self.source.name()
    }

    /// The features of all images of a set and, if these have classes, the share that the model gets
    /// right.
    pub fn labelled(
        pipeline: &Pipeline,
        source: Dataset,
        head: &Head,
        model_labels: &[String],
    ) -> Result<(Self, Option<f64>)> {
        let rows = shift::rows(&source, model_labels)?;
        let (mut values, mut classes) = (Vec::new(), Vec::new());
        let tally = pipeline.run(&source, |entry, features| {
            head.check(features)?;
            values.extend(features);
            classes.push(entry.class);
            Ok(())
        })?;
        let features = matrix(values, tally.used)?;
        let accuracy = shift::accuracy(head, &features, &classes, &rows);
        Ok((Self { source, features, tally }, accuracy))
    }

    /// The features of all images of a set, whatever their classes.
    pub fn read(pipeline: &Pipeline, source: Dataset) -> Result<Self> {
        let mut values = Vec::new();
        let tally = pipeline.run(&source, |_, features| {
            values.extend(features);
            Ok(())
        })?;
        let features = matrix(values, tally.used)?;
        Ok(Self { source, features, tally })
    }
}

/// What is measured, and how.
pub struct Measure<'a> {
    pub detector: &'a Detector,
    pub pipeline: &'a Pipeline<'a>,
    pub settings: &'a SettingsArgs,
    pub fpr95: Fpr95,
    /// Resamples for intervals, and their seed.
    pub bootstrap: Option<(usize, u64)>,
    pub keep_scores: bool,
}

/// What was measured.
#[derive(Default)]
pub struct Found {
    pub rows: Vec<Row>,
    pub acceptances: Vec<Acceptance>,
    /// The scores behind the rows, where they are kept.
    pub scored: Vec<Scored>,
}

impl Measure<'_> {
    /// Detectors against out-of-distribution sets, and on shifted ones.
    pub fn run(
        &self,
        names: &[String],
        id: &Set,
        ood: &[Set],
        shifted: &[Shifted],
    ) -> Result<Found> {
        let mut found = Found::default();
        for name in names {
            let options = self.settings.options()?.score(name);
            let start = Instant::now();
            let id_scores = self.scores(id.features.view(), Some(&id.source), &options)?;
            let id_seconds = start.elapsed().as_secs_f64();
            // What OpenOOD 1.5 calls full spectrum: shifted images count as in-distribution, too.
            let mut full_spectrum = id_scores.clone();
            for set in shifted {
                let scores = self.scores(set.features.view(), set.source.as_ref(), &options)?;
                found.acceptances.push(Acceptance::new(name, set, &id_scores, &scores)?);
                full_spectrum.extend(scores);
            }
            let first = found.rows.len();
            for set in ood {
                crate::progress::check()?;
                let start = Instant::now();
                let scores = self.scores(set.features.view(), Some(&set.source), &options)?;
                let seconds = id_seconds + start.elapsed().as_secs_f64();
                let separation = Separation::by(self.fpr95, &id_scores, &scores)?;
                let images = set.features.nrows();
                let mut row = Row::new(name, set.name(), images, separation, seconds);
                if let Some((resamples, seed)) = self.bootstrap {
                    let intervals = Intervals::bootstrap(&id_scores, &scores, resamples, seed)?;
                    row.intervals = Some(in_percent(&intervals));
                }
                if !shifted.is_empty() {
                    let separation = Separation::between(&full_spectrum, &scores)?;
                    row.full_spectrum_auroc = Some(percent(separation.auroc));
                }
                found.rows.push(row);
                if self.keep_scores {
                    found.scored.push(Scored {
                        detector: name.clone(),
                        ood: set.name().to_owned(),
                        id_scores: id_scores.clone(),
                        ood_scores: scores,
                    });
                }
            }
            if ood.len() > 1 {
                let average = Row::average(name, &found.rows[first..]);
                found.rows.push(average);
            }
        }
        Ok(found)
    }

    /// Scores of a set, from its features where these suffice. Made images have no other source.
    fn scores(
        &self,
        features: ArrayView2<f32>,
        source: Option<&Dataset>,
        options: &Options,
    ) -> Result<Vec<f64>> {
        let source = source.filter(|_| self.detector.moves_image(options).unwrap_or(false));
        let Some(source) = source else {
            return self.detector.feature_detector().scores(features, options);
        };
        let mut scores = Vec::with_capacity(features.nrows());
        let rate = |entry: &Entry| {
            let pixels = decode(&source.read(entry)?)?;
            Ok(self.detector.detect(&pixels.view()?, options)?.score)
        };
        self.pipeline.parallel(source.name(), source.entries(), rate, |_, score| match score {
            Ok(score) => {
                scores.push(score);
                Ok(())
            }
            // It was named when its features were computed.
            Err(error) if is_per_image(&error) => Ok(()),
            Err(error) => Err(error),
        })?;
        Ok(scores)
    }
}
