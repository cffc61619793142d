//! What is fuzzed: where its files come from, how they are damaged, and what must become of them.

mod files;
mod onnx;
mod stats;

use std::path::PathBuf;

use rand::SeedableRng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::{bytes, mutate, seeds};

pub use onnx::load;

/// A kind of input that strangers send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Onnx,
    Stats,
    Images,
    Tar,
    List,
}

impl Target {
    /// Their names on the command line.
    pub const ALL: [(&str, Self); 5] = [
        ("onnx", Self::Onnx),
        ("stats", Self::Stats),
        ("images", Self::Images),
        ("tar", Self::Tar),
        ("list", Self::List),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, target)| *target == self).map_or("", |(name, _)| name)
    }

    /// The files that are damaged: those of `paths`, or the repository's own.
    pub fn seeds(self, paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
        match self {
            Self::Onnx => seeds::models(paths),
            Self::Stats if paths.is_empty() => stats::seeds(),
            Self::Images if paths.is_empty() => seeds::images(),
            Self::Tar if paths.is_empty() => files::tars(),
            Self::List if paths.is_empty() => Ok(files::lists()),
            _ => seeds::files(paths),
        }
    }

    /// The mutant of a number: the same for the same seeds.
    pub fn mutant(self, seeds: &[Vec<u8>], seed: u64, case: u64) -> Vec<u8> {
        let mut random = ChaCha8Rng::seed_from_u64(seed.rotate_left(32) ^ case);
        if self == Self::Onnx {
            return mutate::mutant(seeds, &mut random);
        }
        let Some(mut file) = seeds.choose(&mut random).cloned() else { return Vec::new() };
        let other = seeds.choose(&mut random).map_or(&[][..], Vec::as_slice);
        bytes::damage(&mut file, other, &mut random);
        if self == Self::Tar {
            files::mend_checksums(&mut file, &mut random);
        }
        file
    }

    /// What becomes of a file, in a word. `infinite` and `failed` are failures.
    pub fn outcome(self, file: &[u8]) -> &'static str {
        match self {
            Self::Onnx => onnx::outcome(file),
            Self::Stats => stats::outcome(file),
            Self::Images => files::image(file),
            Self::Tar => files::set(file, "tar"),
            Self::List => files::set(file, "txt"),
        }
    }
}
