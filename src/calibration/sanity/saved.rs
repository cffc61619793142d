//! Merging what was noted of parts, and keeping it in a partial.

use std::sync::Arc;

use ndarray::ArrayView1;

use super::Sanity;
use crate::error::Result;
use crate::head::Head;
use crate::numeric::arrays::{Arrays, damaged};

impl Sanity {
    /// Adds the images of `other`.
    pub(in crate::calibration) fn merge(&mut self, other: &Self) {
        for (&pair, n) in &other.called {
            *self.called.entry(pair).or_default() += n;
        }
        self.labelled += other.labelled;
        self.images += other.images;
        self.sum.iter_mut().zip(&other.sum).for_each(|(sum, other)| *sum += other);
        let squares = self.sum_of_squares.iter_mut().zip(&other.sum_of_squares);
        squares.for_each(|(sum, other)| *sum += other);
        self.seen.extend(&other.seen);
        self.held_out.extend(&other.held_out);
    }

    /// Saves all that was noted.
    pub(in crate::calibration) fn save(&self, arrays: &mut Arrays) {
        let called = self.called.iter();
        arrays.put_u64("sanity.called", called.flat_map(|(&(a, b), &n)| [a as u64, b as u64, n]));
        arrays.put_u64("sanity.images", [self.images]);
        arrays.put_u64("sanity.labelled", [self.labelled]);
        arrays.put_f64("sanity.sum", ArrayView1::from(&self.sum).into_dyn());
        arrays.put_f64("sanity.squares", ArrayView1::from(&self.sum_of_squares).into_dyn());
        // Sorted, so that the same images give the same file.
        let sorted = |hashes: &mut dyn Iterator<Item = &u64>| -> Vec<u64> {
            let mut hashes: Vec<u64> = hashes.copied().collect();
            hashes.sort_unstable();
            hashes
        };
        arrays.put_u64("sanity.seen", sorted(&mut self.seen.iter()));
        arrays.put_u64("sanity.held_out", sorted(&mut self.held_out.iter()));
    }

    /// What was saved, for images of a model with this head.
    pub(in crate::calibration) fn load(head: Arc<Head>, arrays: &Arrays) -> Result<Self> {
        let (classes, features) = (head.num_classes() as u64, head.num_features());
        let mut sanity = Self::new(head);
        for &[class, called, n] in arrays.u64s("sanity.called")?.as_chunks::<3>().0 {
            if class >= classes || called >= classes || n > u64::from(u32::MAX) {
                return Err(damaged("sanity.called names no class".to_owned()));
            }
            sanity.called.insert((class as usize, called as usize), n);
        }
        sanity.images = arrays.count("sanity.images")?;
        sanity.labelled = arrays.count("sanity.labelled")?;
        sanity.sum = arrays.vector("sanity.sum", features)?.to_vec();
        sanity.sum_of_squares = arrays.vector("sanity.squares", features)?.to_vec();
        sanity.seen = arrays.u64s("sanity.seen")?.into_iter().collect();
        sanity.held_out = arrays.u64s("sanity.held_out")?;
        Ok(sanity)
    }
}
