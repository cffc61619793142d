//! Lists of images: a path and, if known, its class in each line.

use std::path::Path;

use super::Entry;
use itp_ood::{Error, Result};

pub(super) fn read(path: &Path, folder: &Path) -> Result<(Vec<String>, Vec<Entry>)> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::data(
            "this is neither a folder, nor a .tar, nor an image by its extension, nor a list of \
             images as text",
        )
        .with_source(e)
    })?;
    let lines: Vec<(usize, &str, Option<&str>)> = text
        .lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            let parts = line.split_once('\t').or_else(|| line.split_once(' '));
            match parts {
                Some((path, class)) => (number, path.trim(), Some(class.trim())),
                None => (number, line, None),
            }
        })
        .collect();
    let Some(&(_, _, first_class)) = lines.first() else {
        return Err(Error::data("the list names no image"));
    };
    if let Some((number, ..)) =
        lines.iter().find(|(_, _, class)| class.is_some() != first_class.is_some())
    {
        return Err(Error::data(format!(
            "line {number} of the list {} a class, unlike the lines before; give one for every \
             image, or for none",
            if first_class.is_some() { "lacks" } else { "has" }
        )));
    }
    let mut classes: Vec<&str> = lines.iter().filter_map(|&(_, _, class)| class).collect();
    // Numbers in their own order, so that 10 comes after 9.
    if classes.iter().all(|class| class.parse::<u32>().is_ok()) {
        classes.sort_by_key(|class| (class.parse::<u32>().ok(), *class));
    } else {
        classes.sort_unstable();
    }
    classes.dedup();
    let positions: std::collections::HashMap<&str, usize> =
        classes.iter().enumerate().map(|(i, &class)| (class, i)).collect();
    let entries = lines
        .iter()
        .map(|&(_, name, class)| Entry {
            name: name.to_owned(),
            class: class.and_then(|class| positions.get(class).copied()),
            // A file that is missing is found out, and named, when it is read.
            bytes: std::fs::metadata(folder.join(name)).map_or(0, |meta| meta.len()),
            offset: 0,
        })
        .collect();
    Ok((classes.into_iter().map(str::to_owned).collect(), entries))
}
