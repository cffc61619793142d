//! Which files of a folder or an archive are images: one rule for all of them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{EXTENSIONS, extension};

/// Where an image's bytes lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the folder, under the entry's own name.
    Named,
    /// In a file whose path the name does not give: it is not UTF-8, or in another normal form.
    File(PathBuf),
    /// In the archive, from this byte on.
    Offset(u64),
    /// In the zip archive, under this number.
    Member(usize),
}

/// A file with an image's extension.
#[derive(Debug)]
pub(super) struct Found {
    /// Relative path, with `/` between its parts.
    pub name: String,
    pub bytes: u64,
    pub place: Place,
}

/// How many files were passed over, by extension (`.heic`) or by what is wrong with them (`hidden`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Skipped(BTreeMap<String, usize>);

impl Skipped {
    /// Whether nothing was passed over.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Kinds with their numbers, sorted.
    pub fn iter(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().map(|(kind, &n)| (kind.as_str(), n))
    }

    pub(super) fn add(&mut self, kind: &str) {
        *self.0.entry(kind.to_owned()).or_default() += 1;
    }
}

/// `3 .heic, 1 hidden`.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<String> = self.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
        f.write_str(&parts.join(", "))
    }
}

/// What a folder or an archive holds.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub found: Vec<Found>,
    pub skipped: Skipped,
    pub notes: Vec<String>,
}

impl Listing {
    /// Takes a file if it is an image, and counts it otherwise.
    pub fn offer(&mut self, name: String, bytes: u64, place: Place) {
        match why_skipped(&name) {
            Some(why) => self.skipped.add(&why),
            None => self.found.push(Found { name, bytes, place }),
        }
    }

    /// Counts an image that can't be used, and says why.
    pub fn refuse(&mut self, name: &str, kind: &str, why: &str) {
        match why_skipped(name) {
            Some(why) => self.skipped.add(&why),
            None => {
                self.skipped.add(kind);
                self.notes.push(format!("{name}: {why}"));
            }
        }
    }
}

/// Why a file is passed over, by its path alone; `None` for an image.
fn why_skipped(name: &str) -> Option<String> {
    if name.split('/').any(is_hidden) {
        return Some("hidden".to_owned());
    }
    match extension(Path::new(name)) {
        extension if extension.is_empty() => Some("without extension".to_owned()),
        extension if EXTENSIONS.contains(&extension.as_str()) => None,
        extension => Some(format!(".{extension}")),
    }
}

/// Whether a file or folder is hidden, as `.DS_Store`, `.ipynb_checkpoints` and what macOS puts
/// beside files in zip archives.
pub(super) fn is_hidden(name: &str) -> bool {
    name.starts_with('.') && !matches!(name, "." | "..") || name == "__MACOSX"
}

/// A file's name as text. Names that are not UTF-8 come from older systems, and are read as Latin-1.
pub(super) fn to_text(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(name) => name.to_owned(),
        Err(_) => name.iter().map(|&byte| char::from(byte)).collect(),
    }
}
