//! The class of an image, read off its path.

use itp_ood::{Error, Result};

use super::listing::{Found, Skipped};
use super::{EXTENSIONS, Entry};

/// Sorts files and reads their classes off their paths.
pub(super) fn classify(
    mut files: Vec<Found>,
    skipped: &Skipped,
) -> Result<(Vec<String>, Vec<Entry>)> {
    if files.is_empty() {
        let others = match skipped.is_empty() {
            true => String::new(),
            false => format!(", but there are others: {skipped}"),
        };
        return Err(Error::data(format!(
            "no images were found{others}; files are known by their extensions {}",
            EXTENSIONS.join(", ")
        )));
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    let skip = common_folders(&files);
    let class_of = |found: &Found| {
        let mut parts = found.name.split('/').skip(skip);
        let class = parts.next().map(str::to_owned);
        parts.next().and(class)
    };
    let names: Vec<Option<String>> = files.iter().map(class_of).collect();
    let mut classes: Vec<String> = names.iter().flatten().cloned().collect();
    classes.sort();
    classes.dedup();
    if !classes.is_empty()
        && let Some(without) = names.iter().position(Option::is_none)
    {
        return Err(Error::data(format!(
            "{} lies beside the class folders ({}, ...); put every image into a class folder, or \
             none",
            files[without].name, classes[0]
        )));
    }
    let entries = files
        .into_iter()
        .zip(names)
        .map(|(Found { name, bytes, place }, class)| Entry {
            name,
            bytes,
            place,
            class: class.and_then(|class| classes.binary_search(&class).ok()),
        })
        .collect();
    Ok((classes, entries))
}

/// How many leading folders all (sorted) files share, leaving each at least one folder, its class.
fn common_folders(files: &[Found]) -> usize {
    let (Some(first), Some(last)) = (files.first(), files.last()) else { return 0 };
    let shared =
        first.name.split('/').zip(last.name.split('/')).take_while(|(a, b)| a == b).count();
    let shallowest = files.iter().map(|file| file.name.split('/').count()).min().unwrap_or(0);
    shared.min(shallowest.saturating_sub(2))
}

/// Sorted names of classes, and each image's index among them. Numbers are sorted as numbers, so
/// that 10 comes after 9.
pub(super) fn index<'a>(of: &[Option<&'a str>]) -> (Vec<String>, Vec<Option<usize>>) {
    let mut classes: Vec<&'a str> = of.iter().flatten().copied().collect();
    if classes.iter().all(|class| class.parse::<u32>().is_ok()) {
        classes.sort_by_key(|class| (class.parse::<u32>().ok(), *class));
    } else {
        classes.sort_unstable();
    }
    classes.dedup();
    let positions: std::collections::HashMap<&str, usize> =
        classes.iter().enumerate().map(|(i, &class)| (class, i)).collect();
    let indices = of.iter().map(|class| class.and_then(|class| positions.get(class).copied()));
    let indices = indices.collect();
    (classes.into_iter().map(str::to_owned).collect(), indices)
}
