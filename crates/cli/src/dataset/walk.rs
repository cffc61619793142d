//! Finding images in folders and archives.

use std::fs::File;
use std::path::Path;

use super::{EXTENSIONS, Entry, has_extension};
use itp_ood::{Error, Result};

/// Deeper folders are taken for a loop of links.
const MAX_DEPTH: usize = 16;

/// A file with an image's extension.
pub(super) struct Found {
    /// Relative path, with `/` between its parts.
    pub name: String,
    pub bytes: u64,
    pub offset: u64,
}

/// All images below a folder, in no particular order.
pub(super) fn folder(root: &Path) -> Result<Vec<Found>> {
    let mut found = Vec::new();
    let mut open = vec![(root.to_owned(), String::new(), 0)];
    while let Some((folder, prefix, depth)) = open.pop() {
        let unreadable = |e: std::io::Error| {
            Error::io(format!("the folder {} cannot be read: {e}", folder.display())).with_source(e)
        };
        for item in std::fs::read_dir(&folder).map_err(unreadable)? {
            let item = item.map_err(unreadable)?;
            let path = item.path();
            let Some(file_name) = item.file_name().to_str().map(str::to_owned) else {
                return Err(Error::data(format!(
                    "the file name {} is not valid Unicode; rename it",
                    path.display()
                )));
            };
            let name = format!("{prefix}{file_name}");
            if is_hidden(&file_name) {
                continue;
            }
            // Follows links; one that leads nowhere is left out.
            let Ok(meta) = std::fs::metadata(&path) else { continue };
            if meta.is_dir() {
                if depth == MAX_DEPTH {
                    return Err(Error::data(format!(
                        "{} lies more than {MAX_DEPTH} folders deep; does a link lead in a circle?",
                        path.display()
                    )));
                }
                open.push((path, format!("{name}/"), depth + 1));
            } else if has_extension(&path, &EXTENSIONS) {
                found.push(Found { name, bytes: meta.len(), offset: 0 });
            }
        }
    }
    Ok(found)
}

/// All images of a tar archive.
pub(super) fn archive(file: &mut File) -> Result<Vec<Found>> {
    let damaged = |e: std::io::Error| {
        Error::data(format!("the archive is damaged or no tar file: {e}")).with_source(e)
    };
    let length = file.metadata().map_err(damaged)?.len();
    let mut archive = tar::Archive::new(file);
    let mut found = Vec::new();
    for entry in archive.entries_with_seek().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path().map_err(damaged)?;
        let (Some(name), true) = (path.to_str(), has_extension(&path, &EXTENSIONS)) else {
            continue;
        };
        if name.split('/').any(is_hidden) {
            continue;
        }
        let (bytes, offset) = (entry.size(), entry.raw_file_position());
        if offset.checked_add(bytes).is_none_or(|end| end > length) {
            return Err(Error::data(format!(
                "the archive ends before {name} does; it was not copied completely"
            )));
        }
        let name = name.trim_start_matches("./").to_owned();
        found.push(Found { name, bytes, offset });
    }
    Ok(found)
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.') && name != "."
}

/// Sorts files and reads their classes off their paths.
pub(super) fn classify(mut files: Vec<Found>) -> Result<(Vec<String>, Vec<Entry>)> {
    if files.is_empty() {
        return Err(Error::data(format!(
            "no images were found; files are known by their extensions {}",
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
        .map(|(Found { name, bytes, offset }, class)| Entry {
            name,
            bytes,
            offset,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn classes_of(names: &[&str]) -> Result<(Vec<String>, Vec<Option<usize>>)> {
        let files = names.iter().map(|&name| Found { name: name.into(), bytes: 1, offset: 0 });
        classify(files.collect())
            .map(|(classes, entries)| (classes, entries.iter().map(|e| e.class).collect()))
    }

    #[test]
    fn classes_are_the_first_folders_that_differ() {
        let (classes, of) = classes_of(&["cat/2.png", "bird/1.png", "bird/deep/3.png"]).unwrap();
        assert_eq!(classes, ["bird", "cat"]);
        assert_eq!(of, [Some(0), Some(0), Some(1)]);
        assert_eq!(classes_of(&["set/b/1.png", "set/a/1.png"]).unwrap().0, ["a", "b"]);
        assert_eq!(classes_of(&["x/set/a/1.png", "x/set/b/1.png"]).unwrap().0, ["a", "b"]);
        // One folder alone is a class; none is none.
        assert_eq!(classes_of(&["data/1.png", "data/2.png"]).unwrap().0, ["data"]);
        assert_eq!(classes_of(&["1.png", "2.png"]).unwrap(), (vec![], vec![None, None]));
        assert!(classes_of(&["1.png", "a/2.png"]).is_err());
        assert!(classes_of(&["set/1.png", "set/a/2.png", "set/b/2.png"]).is_ok());
        assert!(classes_of(&[]).is_err());
    }
}
