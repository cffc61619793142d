//! A random sample of a stream: every image has the same chance to stay.

use ndarray::{ArrayView1, ArrayView2};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Rows of a stream, chosen by reservoir sampling (Vitter's algorithm R) with a fixed seed.
#[derive(Debug, Clone)]
pub struct Reservoir {
    most: usize,
    features: usize,
    seen: usize,
    values: Vec<f32>,
    classes: Vec<usize>,
    rng: ChaCha8Rng,
}

impl Reservoir {
    /// At most `most` rows of D features.
    pub fn new(most: usize, features: usize) -> Self {
        let rng = ChaCha8Rng::seed_from_u64(0);
        Self { most, features, seen: 0, values: Vec::new(), classes: Vec::new(), rng }
    }

    /// Shows the next row and its class, which stay or go.
    pub fn push(&mut self, class: usize, row: ArrayView1<f32>) {
        self.seen += 1;
        if self.seen <= self.most {
            self.values.extend(row);
            self.classes.push(class);
            return;
        }
        let at = self.rng.random_range(0..self.seen);
        if at < self.most {
            let place = &mut self.values[at * self.features..(at + 1) * self.features];
            place.iter_mut().zip(row).for_each(|(place, &value)| *place = value);
            self.classes[at] = class;
        }
    }

    /// The rows that stayed, `[n, D]`.
    pub fn rows(&self) -> ArrayView2<'_, f32> {
        let rows = self.values.len() / self.features;
        ArrayView2::from_shape((rows, self.features), &self.values).expect("whole rows")
    }

    /// Their classes, `[n]`.
    pub fn classes(&self) -> &[usize] {
        &self.classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn keeps_all_of_few_and_an_even_choice_of_many() {
        let mut reservoir = Reservoir::new(1000, 1);
        (0..1000).for_each(|i| reservoir.push(i, array![i as f32].view()));
        assert!(reservoir.rows().iter().enumerate().all(|(i, &value)| value == i as f32));
        (1000..20_000).for_each(|i| reservoir.push(i, array![i as f32].view()));
        let classes = reservoir.classes().iter().zip(reservoir.rows());
        assert!(classes.clone().all(|(&class, &value)| class as f32 == value));
        assert_eq!(reservoir.rows().nrows(), 1000);
        let mean = reservoir.rows().mean().unwrap();
        // The standard error is 183.
        assert!((mean - 10_000.0).abs() < 700.0, "{mean}");
    }
}
