//! Which row of the model's last layer a class of images belongs to.

use std::path::Path;

use itp_ood::{Error, Result};

/// Class names in the model's order, one a line.
pub fn read(path: &Path) -> Result<Vec<String>> {
    let text = String::from_utf8(crate::output::read(path)?).map_err(|e| {
        Error::data(format!("{} is no text in UTF-8", path.display())).with_source(e)
    })?;
    Ok(text.lines().map(|line| line.trim().to_owned()).collect())
}

/// For each class of images its row: by its name, or by a number counting from 0.
///
/// # Errors
/// `Data` if a class is neither, or if its name occurs twice in `labels`.
pub fn rows(classes: &[String], labels: &[String]) -> Result<Vec<usize>> {
    classes
        .iter()
        .map(|class| {
            let mut named = labels.iter().enumerate().filter(|(_, label)| *label == class);
            match (named.next(), named.next()) {
                (Some((row, _)), None) => Ok(row),
                (Some(_), Some(_)) => Err(Error::data(format!(
                    "the model has two classes named \"{class}\"; use a list with numbers instead \
                     of names"
                ))),
                _ => class.parse().ok().filter(|&row| row < labels.len()).ok_or_else(|| {
                    Error::data(format!(
                        "the class \"{class}\" of the images is none of the model's {} classes \
                         ({}); rename the folder, or give a list with the right classes",
                        labels.len(),
                        some_of(labels)
                    ))
                }),
            }
        })
        .collect()
}

/// The first names, for messages.
pub fn some_of(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
    let more = if names.len() > shown.len() { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}
