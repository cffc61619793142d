//! A random sample of a stream that doesn't depend on the stream's order, and of which parts merge.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView1};

use super::arrays::{Arrays, damaged};
use super::fingerprint::fingerprint;
use crate::error::Result;

/// Where a row stands among all: its fingerprint, its class, and a number for each copy of it.
type Key = (u128, usize, u64);

/// The rows of a stream with the least fingerprints: every row has the same chance to stay, whatever
/// comes before or after it, so that samples of parts merge into the sample of the whole.
#[derive(Debug, Clone)]
pub struct Reservoir {
    most: usize,
    features: usize,
    rows: BTreeMap<Key, Vec<f32>>,
}

impl Reservoir {
    /// At most `most` rows of D features.
    pub fn new(most: usize, features: usize) -> Self {
        Self { most, features, rows: BTreeMap::new() }
    }

    /// Shows a row and its class, which stay or go.
    pub fn push(&mut self, class: usize, row: ArrayView1<f32>) {
        let mark = fingerprint(row);
        if self.would_keep(mark, class) {
            self.insert(mark, class, row.to_vec());
        }
    }

    fn would_keep(&self, mark: u128, class: usize) -> bool {
        let last = self.rows.last_key_value();
        self.rows.len() < self.most
            || last.is_some_and(|(last, _)| (mark, class) < (last.0, last.1))
    }

    fn insert(&mut self, mark: u128, class: usize, row: Vec<f32>) {
        let copies = self.rows.range((mark, class, 0)..=(mark, class, u64::MAX)).count();
        self.rows.insert((mark, class, copies as u64), row);
        if self.rows.len() > self.most {
            self.rows.pop_last();
        }
    }

    /// Shows the rows of another sample.
    pub fn merge(&mut self, other: &Self) {
        for (&(mark, class, _), row) in &other.rows {
            if self.would_keep(mark, class) {
                self.insert(mark, class, row.clone());
            }
        }
    }

    /// Saves the rows and their classes.
    pub fn save(&self, arrays: &mut Arrays) {
        arrays.put_f32("sample.features", self.rows().view().into_dyn());
        arrays.put_u64("sample.class", self.classes().into_iter().map(|class| class as u64));
    }

    /// What was saved: at most `most` rows of D features and K classes.
    pub fn load(arrays: &Arrays, most: usize, features: usize, classes: usize) -> Result<Self> {
        let rows = arrays.rows("sample.features", features)?;
        let of_rows = arrays.u64s_of("sample.class", rows.nrows())?;
        let mut reservoir = Self::new(most, features);
        for (row, class) in rows.outer_iter().zip(of_rows) {
            let class = usize::try_from(class).ok().filter(|&class| class < classes);
            let class = class.ok_or_else(|| damaged("sample.class names no class".to_owned()))?;
            reservoir.push(class, row);
        }
        Ok(reservoir)
    }

    /// The rows that stayed, `[n, D]`, in an order that is the sample's own.
    pub fn rows(&self) -> Array2<f32> {
        let mut rows = Array2::zeros((self.rows.len(), self.features));
        for (mut row, values) in rows.rows_mut().into_iter().zip(self.rows.values()) {
            row.assign(&ArrayView1::from(values));
        }
        rows
    }

    /// Their classes, `[n]`.
    pub fn classes(&self) -> Vec<usize> {
        self.rows.keys().map(|&(_, class, _)| class).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn sample(most: usize, rows: impl IntoIterator<Item = usize>) -> Reservoir {
        let mut reservoir = Reservoir::new(most, 1);
        rows.into_iter().for_each(|i| reservoir.push(i, array![i as f32].view()));
        reservoir
    }

    #[test]
    fn keeps_all_of_few_and_an_even_choice_of_many() {
        let mut all = sample(1000, 0..1000).classes();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
        let reservoir = sample(1000, 0..20_000);
        let (classes, rows) = (reservoir.classes(), reservoir.rows());
        assert!(classes.iter().zip(&rows).all(|(&class, &value)| class as f32 == value));
        assert_eq!(rows.nrows(), 1000);
        let mean = rows.mean().unwrap();
        // The standard error is 183.
        assert!((mean - 10_000.0).abs() < 700.0, "{mean}");
    }

    #[test]
    fn neither_order_nor_parts_change_the_sample() {
        let whole = sample(100, 0..5000);
        let backwards = sample(100, (0..5000).rev());
        assert_eq!(whole.rows(), backwards.rows());
        let parts = [sample(100, 0..30), sample(100, 30..2500), sample(100, 2500..5000)];
        for order in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
            let mut merged = Reservoir::new(100, 1);
            order.iter().for_each(|&part| merged.merge(&parts[part]));
            assert_eq!((merged.rows(), merged.classes()), (whole.rows(), whole.classes()));
        }
    }

    #[test]
    fn copies_stay_as_often_as_they_came() {
        let mut merged = sample(10, [1, 2, 2]);
        merged.merge(&sample(10, [2, 3]));
        let mut classes = merged.classes();
        classes.sort_unstable();
        assert_eq!(classes, [1, 2, 2, 2, 3]);
    }
}
