//! How many images there were.

use crate::dataset::Skipped;

/// What became of a set of images.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Images whose features were used.
    pub used: usize,
    /// Images that could not be read or run.
    pub broken: usize,
    /// Files that are no images by their names.
    pub skipped: Skipped,
}

impl Tally {
    /// `; passed over: 3 .heic, 1 hidden`; empty if nothing was.
    pub fn passed_over(&self) -> String {
        match self.skipped.is_empty() {
            true => String::new(),
            false => format!("; passed over: {}", self.skipped),
        }
    }
}
