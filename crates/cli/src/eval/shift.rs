//! Images that are shifted but still in-distribution: given ones, and changed ones.

use crate::dataset::{Dataset, Entry, decode};
use itp_ood::{Head, Model, Pixels, Result};
use ndarray::{Array2, ArrayView1};

use super::measure::Set;
use crate::corrupt::Corruption;
use crate::labels;
use crate::pipeline::{Pipeline, is_per_image, matrix};

/// A set of shifted images.
pub struct Shifted {
    pub name: String,
    pub features: Array2<f32>,
    /// The share that the model gets right, where the images have classes.
    pub accuracy: Option<f64>,
    /// Where the images lie, unless they are made.
    pub source: Option<Dataset>,
}

/// The classes that a set's images have in the model, if they have any.
pub fn rows(set: &Dataset, model_labels: &[String]) -> Result<Vec<usize>> {
    // A single folder around all images names no class.
    let has_classes = set.classes().len() > 1
        || set.classes().first().is_some_and(|class| model_labels.contains(class));
    if has_classes { labels::rows(set.classes(), model_labels) } else { Ok(Vec::new()) }
}

/// The share of images whose class the model predicts; `None` if none has a class.
pub fn accuracy(
    head: &Head,
    features: &Array2<f32>,
    classes: &[Option<usize>],
    rows: &[usize],
) -> Option<f64> {
    let is_right = |(features, class): (ArrayView1<f32>, &Option<usize>)| {
        class.and_then(|class| rows.get(class)) == Some(&head.predict(features))
    };
    let right = features.outer_iter().zip(classes).filter(|pair| is_right(*pair)).count();
    (!rows.is_empty()).then(|| right as f64 / features.nrows().max(1) as f64)
}

impl Shifted {
    /// A set of given images.
    pub fn given(
        pipeline: &Pipeline,
        head: &Head,
        source: Dataset,
        model_labels: &[String],
    ) -> Result<Self> {
        let (Set { source, features, .. }, accuracy) =
            Set::labelled(pipeline, source, head, model_labels)?;
        Ok(Self { name: source.name().to_owned(), features, accuracy, source: Some(source) })
    }

    /// The in-distribution images, changed by every kind in every strength.
    pub fn corrupted(
        pipeline: &Pipeline,
        model: &Model,
        id: &Set,
        model_labels: &[String],
        seed: u64,
    ) -> Result<Vec<Self>> {
        let rows = rows(&id.source, model_labels)?;
        let numbered: Vec<(u64, &Entry)> = (0..).zip(id.source.entries()).collect();
        let mut sets = Vec::new();
        for (name, corruption) in Corruption::all() {
            let change = |(number, entry): &(u64, &Entry)| {
                let pixels = decode(&id.source.read(entry)?)?;
                let resized: Pixels = model.preprocess().resized(&pixels.view()?)?;
                model.features_of_resized(&corruption.apply(&resized, seed, *number)?)
            };
            let (mut values, mut classes) = (Vec::new(), Vec::new());
            pipeline.parallel(&name, &numbered, change, |(_, entry), features| match features {
                Ok(features) => {
                    model.head().check(features.view())?;
                    values.extend(features);
                    classes.push(entry.class);
                    Ok(())
                }
                Err(error) if is_per_image(&error) => Ok(()),
                Err(error) => Err(error),
            })?;
            let features = matrix(values, classes.len())?;
            let accuracy = accuracy(model.head(), &features, &classes, &rows);
            sets.push(Self { name, features, accuracy, source: None });
        }
        Ok(sets)
    }
}
