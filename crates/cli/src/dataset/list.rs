//! Lists of images: a path and, if known, its class in each line.

use std::path::{Path, PathBuf};

use csv::{ReaderBuilder, Trim};
use itp_ood::{Error, Result};
use unicode_normalization::UnicodeNormalization;

use super::listing::Place;
use super::{Entry, classes, is_image_path};
use crate::file;

/// Names that the columns of a table may have.
const PATH_COLUMNS: [&str; 9] =
    ["path", "file", "filename", "file_name", "filepath", "image", "image_path", "img", "name"];
const CLASS_COLUMNS: [&str; 7] =
    ["class", "label", "class_name", "label_name", "category", "target", "y"];

/// A line: its number, a path, and a class if it has one.
type Line = (u64, String, Option<String>);

/// Text; one with zeros is another kind of file.
fn text_of(bytes: &[u8]) -> Result<String> {
    let text = file::text(bytes)?;
    if text.contains('\0') {
        return Err(Error::data("this is no text"));
    }
    Ok(text)
}

pub(super) fn read(path: &Path, folder: &Path) -> Result<(Vec<String>, Vec<Entry>)> {
    let text = text_of(&file::read(path)?).map_err(|error| {
        Error::data(
            "this is neither a folder, nor a .tar, .zip or .parquet, nor an image that can be read, \
             nor a list of images as text",
        )
        .with_source(error)
    })?;
    let lines = match delimiter(&text) {
        Some(delimiter) => table(&text, delimiter)?,
        None => plain(&text),
    };
    let Some((_, _, first_class)) = lines.first() else {
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
    let of: Vec<Option<&str>> = lines.iter().map(|(_, _, class)| class.as_deref()).collect();
    let (classes, indices) = classes::index(&of);
    let entries = lines.iter().zip(indices).map(|((_, name, _), class)| {
        let path = existing(folder, name);
        Entry { name: name.clone(), class, ..Entry::file(String::new(), &path) }
    });
    let entries = entries.map(|entry| match entry.place {
        Place::File(path) if path == folder.join(&entry.name) => {
            Entry { place: Place::Named, ..entry }
        }
        place => Entry { place, ..entry },
    });
    let entries = entries.collect();
    Ok((classes, entries))
}

/// What separates the columns, told by the first line; `None` for lines with spaces alone.
fn delimiter(text: &str) -> Option<u8> {
    let first = text.lines().find(|line| is_content(line))?;
    let after_path = path_end(first).and_then(|end| first[end..].trim_start().chars().next());
    let quoted = first.starts_with('"');
    let found = ['\t', ',', ';'].into_iter().find(|&mark| {
        // A comma inside a path alone makes no table.
        after_path == Some(mark)
            || (first.contains(mark) && (mark == '\t' || quoted || path_end(first).is_none()))
    });
    found.or(quoted.then_some(',')).map(|mark| mark as u8)
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

/// Where the path at the beginning of a line ends: after the first image extension that is followed
/// by a separator or nothing.
fn path_end(line: &str) -> Option<usize> {
    let ends = line.char_indices().filter(|(_, c)| matches!(c, ' ' | '\t' | ',' | ';'));
    let mut ends = ends.map(|(at, _)| at).chain([line.len()]);
    ends.find(|&end| is_image_path(Path::new(&line[..end])))
}

/// Lines with a path, and after a space a class: both may hold spaces themselves.
fn plain(text: &str) -> Vec<Line> {
    let lines = text.lines().zip(1..).filter(|(line, _)| is_content(line));
    let lines = lines.map(|(line, number)| {
        let line = line.trim();
        let end = path_end(line).or_else(|| line.find(' ')).unwrap_or(line.len());
        let class = line[end..].trim();
        (number, line[..end].to_owned(), (!class.is_empty()).then(|| class.to_owned()))
    });
    lines.collect()
}

/// Columns with quotes where they are needed, as spreadsheets write them, under a header or not.
fn table(text: &str, delimiter: u8) -> Result<Vec<Line>> {
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .comment(Some(b'#'))
        .trim(Trim::All)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let (mut path_column, mut class_column) = (0, 1);
    let mut lines = Vec::new();
    for (at, record) in reader.records().enumerate() {
        let record =
            record.map_err(|e| Error::data(format!("the list is damaged: {e}")).with_source(e))?;
        let number = record.position().map_or(0, csv::Position::line);
        if at == 0 && !record.iter().any(|cell| is_image_path(Path::new(cell))) {
            let find = |names: &[&str]| {
                record.iter().position(|cell| names.contains(&cell.to_lowercase().as_str()))
            };
            if let Some(column) = find(&PATH_COLUMNS) {
                path_column = column;
                class_column = find(&CLASS_COLUMNS).unwrap_or(usize::MAX);
                continue;
            }
        } else if at == 0 && record.len() > 2 {
            return Err(Error::data(format!(
                "the list has {} columns; name them in its first line, such as path and class",
                record.len()
            )));
        }
        let cell = |column| record.get(column).filter(|cell| !cell.is_empty()).map(str::to_owned);
        // A line of separators alone is empty.
        if let Some(path) = cell(path_column) {
            lines.push((number, path, cell(class_column)));
        }
    }
    Ok(lines)
}

/// The file that a list means: accents may be composed or not, and separators those of Windows.
fn existing(folder: &Path, name: &str) -> PathBuf {
    let literal = folder.join(name);
    if literal.exists() {
        return literal;
    }
    let slashed = name.replace('\\', "/");
    let variants = [slashed.clone(), slashed.nfc().collect(), slashed.nfd().collect::<String>()];
    let mut variants = variants.iter().map(|name: &String| folder.join(name));
    variants.find(|path| path.exists()).unwrap_or(literal)
}
