//! Features of training images, and of those that are held back for want of others.

use std::path::Path;

use itp_ood::{Calibrator, Error, Model, Result, calibration};

use super::Args;
use crate::dataset::Entry;
use crate::labels;
use crate::pipeline::{Pipeline, Places, matrix};
use crate::tally::Tally;
use crate::tune::HeldOut;

/// Statistics of training images, and of those that are held back for want of others. Of the labels,
/// those that were given must fit, those that were found needn't.
pub fn gather(
    args: &Args,
    model: &Model,
    pipeline: &Pipeline,
    images: &Path,
    (given_labels, found_labels): (Option<Vec<String>>, Option<Vec<String>>),
) -> Result<(Calibrator, Tally, Option<HeldOut>)> {
    let mut set = pipeline.open(images)?;
    if set.classes().is_empty() {
        return Err(Error::data(format!(
            "the images in {} have no classes; put them into a folder for each class, or give a \
             list with classes",
            images.display()
        )));
    }
    let classes = model.head().num_classes();
    let found_labels = found_labels.filter(|found| {
        let fits = labels::rows(set.classes(), found).is_ok();
        if !fits {
            eprintln!("itp: note: the images have other classes than that config.json");
        }
        fits
    });
    let labels = match given_labels.or(found_labels) {
        Some(labels) => labels,
        None if set.classes().len() != classes => {
            return Err(Error::data(format!(
                "the images have {} classes ({}), but the model has {classes} classes; give a \
                 folder for each class of the model, or name the model's classes with --labels",
                set.classes().len(),
                labels::some_of(set.classes())
            )));
        }
        None => set.classes().to_vec(),
    };
    let mut calibrator = Calibrator::new(model, labels.clone())?;
    calibrator.learn(&args.detectors)?;
    let rows = labels::rows(set.classes(), &labels)?;
    let class_of = |entry: &Entry| entry.class.map(|class| rows[class]);
    let hold_back = args.holdout.is_none() && !args.no_holdout;
    let held = match set.entries().iter().map(class_of).collect::<Option<Vec<_>>>() {
        Some(classes) if hold_back => calibration::hold_back(&classes, args.tuning.seed),
        _ => vec![false; set.entries().len()],
    };
    // Numbers of all held-back images, so that a part's are those of one run.
    let mut before = 0;
    let numbered = held.iter().map(|&held| {
        before += usize::from(held);
        before - usize::from(held)
    });
    let number: Vec<usize> = numbered.collect();
    let kept = set.keep_shard(args.shard)?;
    let mut places = Places::default();
    let (mut held_back, mut numbers, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let tally = pipeline.run(&set, |entry, features| {
        let at = places.of(&set, entry);
        let place = kept[at];
        match class_of(entry) {
            Some(_) if held[place] => {
                held_back.push(at);
                numbers.push(number[place]);
                values.extend(features);
                Ok(())
            }
            Some(class) => calibrator.add(class, features),
            None => Ok(()),
        }
    })?;
    if held_back.is_empty() {
        return Ok((calibrator, tally, None));
    }
    let features = matrix(values, held_back.len())?;
    let mut held_out = HeldOut::held_back(set, held_back, numbers, features);
    held_out.zoom(
        pipeline,
        model,
        args.tuning.seed,
        |number, entry, features, copy| match class_of(entry) {
            Some(class) => calibrator.add_held_back_at(number as u64, class, features, copy),
            None => Ok(features),
        },
    )?;
    Ok((calibrator, tally, Some(held_out)))
}
