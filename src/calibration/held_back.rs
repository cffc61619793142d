//! Holding back training images where nobody brought others.
//!
//! A model is surer of images that it was trained on: a threshold that keeps 95 % of them accepts fewer
//! of others, 70 % at worst. What it has merely memorised shows when the image is changed a little: a
//! slight zoom then changes its label. Such an image counts as its zoomed copy. docs/method.md has what
//! that was measured to achieve.

use std::collections::BTreeMap;

use ndarray::ArrayView1;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::error::Result;
use crate::head::Head;
use crate::image::Pixels;
use crate::tune::pseudo::{shuffle, slight_zoom};

/// One of so many training images is held back: 500 of 5,000.
pub const ONE_IN: usize = 10;

/// Which of the training images to hold back, given the class of each: a tenth of every class, so
/// that thresholds and settings see all of them, and at least two of a class stay. The same seed
/// and classes give the same images, natively and in the browser.
///
/// ```
/// let held_back = itp_ood::calibration::hold_back(&[0; 30], 0);
/// assert_eq!(held_back.iter().filter(|&&held_back| held_back).count(), 3);
/// ```
pub fn hold_back(classes: &[usize], seed: u64) -> Vec<bool> {
    let mut by_class = BTreeMap::<usize, Vec<usize>>::new();
    for (image, &class) in classes.iter().enumerate() {
        by_class.entry(class).or_default().push(image);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut held_back = vec![false; classes.len()];
    // What the classes so far are short of a tenth of all: small ones take turns.
    let mut owed = 0;
    for images in by_class.values_mut() {
        shuffle(images, &mut rng);
        owed += images.len();
        let most = images.len().div_ceil(ONE_IN).min(images.len().saturating_sub(2));
        let number = (owed / ONE_IN).min(most);
        owed -= number * ONE_IN;
        images[..number].iter().for_each(|&image| held_back[image] = true);
    }
    held_back
}

/// The copy of a held-back image that tells whether it was memorised: a random part of nine tenths of
/// each side, enlarged. `image` as [`Preprocess::resized`](crate::Preprocess::resized) gives it;
/// `number` is its place among the held-back images, and fixes the part together with the seed.
///
/// # Errors
/// [`ErrorKind::Image`](crate::ErrorKind::Image) if the image contradicts itself.
pub fn zoomed(image: &Pixels, seed: u64, number: u64) -> Result<Pixels> {
    image.view()?;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Stream 0 is that of `hold_back`.
    rng.set_stream(1 + number);
    Ok(slight_zoom(image, &mut rng))
}

/// The features `[D]` that stand for a held-back image as if it had not been trained on: its own, or
/// those of its [`zoomed`] copy where the model calls the copy otherwise.
pub fn as_unseen<'a>(
    head: &Head,
    features: ArrayView1<'a, f32>,
    copy: ArrayView1<'a, f32>,
) -> ArrayView1<'a, f32> {
    if head.predict(features) == head.predict(copy) { features } else { copy }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn an_image_counts_as_its_copy_where_that_changes_the_label() {
        let head = Head::new(array![[1.0, 0.0], [0.0, 1.0]], array![0.0, 0.0]).unwrap();
        let (image, same, other) = (array![3.0, 1.0], array![2.0, 1.0], array![1.0, 2.0]);
        assert_eq!(as_unseen(&head, image.view(), same.view()), image);
        assert_eq!(as_unseen(&head, image.view(), other.view()), other);
    }

    #[test]
    fn the_copy_is_a_seeded_part_of_the_image() {
        let data: Vec<u8> = (0..20 * 20).map(|at| (at % 20 * 10) as u8).collect();
        let image = Pixels { data, width: 20, height: 20, channels: 1 };
        let copy = zoomed(&image, 0, 7).unwrap();
        assert_eq!((copy.width, copy.height, copy.channels), (20, 20, 1));
        assert_eq!(copy.data, zoomed(&image, 0, 7).unwrap().data);
        assert_ne!(copy.data, image.data);
        // 18 of 20 columns, wherever they are.
        let (first, last) = (i32::from(copy.data[0]), i32::from(copy.data[19]));
        assert!((last - first - 170).abs() <= 1, "{first} to {last}");
        let parts: std::collections::BTreeSet<_> =
            (0..40).map(|number| zoomed(&image, 0, number).unwrap().data).collect();
        assert!(parts.len() > 1, "always the same part");
        let broken = Pixels { data: vec![0; 3], ..image };
        assert!(zoomed(&broken, 0, 0).is_err());
    }

    fn of_class(classes: &[usize], held_back: &[bool], class: usize) -> usize {
        classes.iter().zip(held_back).filter(|&(&of, &held)| of == class && held).count()
    }

    #[test]
    fn a_tenth_of_every_class_is_held_back() {
        let classes: Vec<usize> = (0..5000).map(|image| image % 7).collect();
        let held_back = hold_back(&classes, 0);
        assert_eq!(held_back.iter().filter(|&&held| held).count(), 500);
        for class in 0..7 {
            let number = of_class(&classes, &held_back, class);
            assert!((71..=72).contains(&number), "{number} of class {class}");
        }
        assert_eq!(held_back, hold_back(&classes, 0));
        assert_ne!(held_back, hold_back(&classes, 1));
    }

    #[test]
    fn small_classes_take_turns_and_keep_two_images() {
        let classes: Vec<usize> = (0..20).map(|image| image / 5).collect();
        let held_back = hold_back(&classes, 3);
        let numbers: Vec<usize> =
            (0..4).map(|class| of_class(&classes, &held_back, class)).collect();
        assert_eq!(numbers, [0, 1, 0, 1]);
        let pairs: Vec<usize> = (0..200).map(|image| image / 2).collect();
        assert!(hold_back(&pairs, 0).iter().all(|&held| !held));
        assert!(hold_back(&[], 0).is_empty());
    }
}
