//! Which row of the model's last layer a class of images belongs to.

use std::path::Path;

use crate::file;
use itp_ood::{Error, Result};
use unicode_normalization::UnicodeNormalization;

/// Class names in the model's order: one a line, or the `id2label` of Hugging Face's `config.json`; as
/// many as the model has classes.
///
/// # Errors
/// `Io` or `Data` if the file can't be read as text, `Mismatch` for another number of names.
pub fn read(path: &Path, classes: usize) -> Result<Vec<String>> {
    let text = file::text(&file::read(path)?).map_err(|error| error.context(path.display()))?;
    let labels: Vec<String> = if text.trim_start().starts_with('{') {
        id_to_label(&text).map_err(|error| error.context(path.display()))?
    } else {
        // Empty lines at the end are no classes.
        text.trim_end().lines().map(|line| line.trim().to_owned()).collect()
    };
    if labels.len() != classes {
        let hint = match labels.len() == classes + 1 {
            true => "; is one of them a background class that the model lacks?",
            false => "",
        };
        return Err(Error::mismatch(format!(
            "{} names {} classes ({}), but the model has {classes} classes{hint}",
            path.display(),
            labels.len(),
            some_of(&labels)
        )));
    }
    Ok(labels)
}

/// The names in a `config.json`, by their numbers.
fn id_to_label(json: &str) -> Result<Vec<String>> {
    let config: serde_json::Value = serde_json::from_str(json)
        .map_err(|error| Error::data("this is no valid JSON").with_source(error))?;
    let found = config.get("id2label").and_then(serde_json::Value::as_object).ok_or_else(|| {
        Error::data(
            "this config.json has no id2label; give --labels a text file with one name a line",
        )
    })?;
    (0..found.len())
        .map(|id| {
            let name = found.get(&id.to_string()).and_then(serde_json::Value::as_str);
            name.map(str::to_owned).ok_or_else(|| {
                Error::data(format!(
                    "id2label has {} entries, but none for {id}, or no text; give --labels a text \
                     file with one name a line",
                    found.len()
                ))
            })
        })
        .collect()
}

/// For each class of images its row: by its name, or by a number counting from 0. Accents may be
/// composed or not.
///
/// # Errors
/// `Data` if a class is neither, or if its name occurs twice in `labels`.
pub fn rows(classes: &[String], labels: &[String]) -> Result<Vec<usize>> {
    let composed = |name: &String| name.nfc().collect::<String>();
    let known: Vec<String> = labels.iter().map(composed).collect();
    let row_of = |class: &String| {
        let name = composed(class);
        let mut named = known.iter().enumerate().filter(|(_, label)| **label == name);
        match (named.next(), named.next()) {
            (Some((row, _)), None) => Ok(row),
            (Some(_), Some(_)) => Err(Error::data(format!(
                "the model has two classes named \"{class}\"; use a list with numbers instead of \
                 names"
            ))),
            _ => class.parse().ok().filter(|&row| row < labels.len()).ok_or_else(|| {
                let alike = |label: &&String| label.to_lowercase() == name.trim().to_lowercase();
                let hint = known.iter().find(alike).map_or_else(
                    || format!("({})", some_of(labels)),
                    |label| format!("(there is {label:?}, which differs from {class:?})"),
                );
                Error::data(format!(
                    "the class \"{class}\" of the images is none of the model's {} classes {hint}; \
                     rename the folder, or give a list with the right classes",
                    labels.len(),
                ))
            }),
        }
    };
    classes.iter().map(row_of).collect()
}

/// The first names, for messages.
pub fn some_of(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
    let more = if names.len() > shown.len() { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}
