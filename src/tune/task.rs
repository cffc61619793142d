//! One pseudo-OOD image to make.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use super::pseudo::Kind;
use crate::error::Result;
use crate::image::Pixels;

/// A pseudo-OOD image to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(optional_fields))]
pub struct PseudoOodTask {
    /// What is made.
    pub kind: Kind,
    /// The caller's number of the image that it is made of.
    pub image: usize,
    /// The caller's number of a second image, of another class, where the kind takes one.
    pub partner: Option<usize>,
    /// Its place among those of its kind.
    #[serde(skip)]
    pub(super) position: u32,
    #[serde(skip)]
    pub(super) seed: u64,
}

impl PseudoOodTask {
    /// Makes the image from [`image`](Self::image) and [`partner`](Self::partner) as
    /// [`Preprocess::resized`](crate::Preprocess::resized) gives them.
    ///
    /// # Errors
    /// As [`Kind::make`].
    pub fn make(&self, image: &Pixels, partner: Option<&Pixels>) -> Result<Pixels> {
        let mut rng = rng(self.seed, 1 + ((self.kind as u64) << 32) + u64::from(self.position));
        self.kind.make(image, partner, &mut rng)
    }
}

/// Every image has a stream of random numbers of its own, whatever the order of work.
pub(super) fn rng(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}
