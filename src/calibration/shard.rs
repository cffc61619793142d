//! Which of several parts of the images a calibration is for.

use std::fmt;

use crate::error::{Error, Result};

/// More parts than anybody has use for.
const MOST: usize = 1_000_000;

/// One of several parts of the images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    of: usize,
}

impl Shard {
    /// Part `index` (from 1) of `of`, written `index/of`.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) where there is no such part.
    pub fn new(index: usize, of: usize) -> Result<Self> {
        if of > MOST {
            return Err(Error::options(format!("{of} parts are too many; {MOST} are the most")));
        }
        if index == 0 || index > of {
            return Err(Error::options(format!(
                "there is no part {index} of {of}; parts are 1/{of} to {of}/{of}"
            )));
        }
        Ok(Self { index, of })
    }

    /// As [`Shard::new`], from text such as `3/8`.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) for other text.
    pub fn parse(text: &str) -> Result<Self> {
        let numbers = text
            .split_once('/')
            .and_then(|(index, of)| Some((index.trim().parse().ok()?, of.trim().parse().ok()?)));
        let (index, of) = numbers.ok_or_else(|| {
            Error::options(format!("{text:?} is no part; write it as 3/8, the third of eight"))
        })?;
        Self::new(index, of)
    }

    /// How many parts there are.
    pub fn of(self) -> usize {
        self.of
    }

    /// Whether the image at this place belongs to it: parts take turns, so that all have images of
    /// every class.
    pub fn has(self, place: usize) -> bool {
        place % self.of == self.index - 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}
