//! Pseudo-OOD images with other values at the same places.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

use super::{Sides, below, byte};
use crate::image::Pixels;
use crate::tune::spectrum::Spectrum;

/// ImageNet's mean colour, and its luminance.
const MEAN_RGB: [u8; 3] = [125, 123, 114];
const MEAN_GREY: u8 = 123;

/// A Gaussian with weights in 16-bit fixed point; the border is repeated outwards.
pub(super) fn blur(image: &Pixels) -> Pixels {
    let sigma = 2.5 / 32.0 * image.w().min(image.h()) as f64;
    let radius = (3.0 * sigma).ceil() as isize;
    let weights: Vec<u64> = (-radius..=radius)
        .map(|at| {
            let at = at as f64 / sigma;
            ((-0.5 * at * at).exp() * 65536.0).round() as u64
        })
        .collect();
    let norm = weights.iter().sum::<u64>().pow(2);
    let (width, height, channels) = (image.w(), image.h(), image.channels);
    let inside = |at: usize, step: usize, len: usize| {
        (at as isize + step as isize - radius).clamp(0, len as isize - 1) as usize
    };
    let mut across = vec![0u64; image.data.len()];
    let mut data = vec![0u8; image.data.len()];
    let at = |x: usize, y: usize, channel: usize| (y * width + x) * channels + channel;
    for y in 0..height {
        for x in 0..width {
            for channel in 0..channels {
                across[at(x, y, channel)] = weights
                    .iter()
                    .enumerate()
                    .map(|(i, w)| w * u64::from(image.data[at(inside(x, i, width), y, channel)]))
                    .sum();
            }
        }
    }
    for y in 0..height {
        for x in 0..width {
            for channel in 0..channels {
                let sum: u64 = weights
                    .iter()
                    .enumerate()
                    .map(|(i, w)| w * across[at(x, inside(y, i, height), channel)])
                    .sum();
                data[at(x, y, channel)] = ((sum + norm / 2) / norm) as u8;
            }
        }
    }
    Pixels { data, ..*image }
}

/// The sum of twelve uniform numbers stands for a Gaussian one: no logarithm, no cosine.
pub(super) fn noise(image: &Pixels, rng: &mut ChaCha8Rng) -> Pixels {
    let mut gaussian = || {
        let sum: u32 = (0..6).map(|_| rng.next_u32()).map(|r| (r >> 16) + (r & 0xffff)).sum();
        f64::from(sum) / 65536.0 - 6.0
    };
    let data = image.data.iter().map(|&v| byte(f64::from(v) + 0.25 * 255.0 * gaussian())).collect();
    Pixels { data, ..*image }
}

pub(super) fn cutout(image: &Pixels, rng: &mut ChaCha8Rng) -> Pixels {
    let side = (image.w().min(image.h()) * 20 / 32).max(1);
    let left = below(rng, image.w() - side + 1);
    let top = below(rng, image.h() - side + 1);
    let colour: &[u8] = if image.channels == 3 { &MEAN_RGB } else { &[MEAN_GREY; 4] };
    let mut cut = image.clone();
    for y in top..top + side {
        for x in left..left + side {
            let at = (y * image.w() + x) * image.channels;
            cut.data[at..at + image.channels].copy_from_slice(&colour[..image.channels]);
        }
    }
    cut
}

/// Mean of each channel.
fn mean_colour(image: &Pixels) -> Vec<f64> {
    let number = (image.w() * image.h()) as f64;
    (0..image.channels)
        .map(|channel| {
            let values = image.data.iter().skip(channel).step_by(image.channels);
            values.map(|&v| u64::from(v)).sum::<u64>() as f64 / number
        })
        .collect()
}

pub(super) fn contrast(image: &Pixels) -> Pixels {
    let mean = mean_colour(image);
    let values = image.data.iter().zip(mean.iter().cycle());
    let data = values.map(|(&v, mean)| byte(mean + 0.2 * (f64::from(v) - mean))).collect();
    Pixels { data, ..*image }
}

fn spectrum(image: &Pixels, channel: usize) -> Spectrum {
    let values = image.data.iter().skip(channel).step_by(image.channels);
    Spectrum::of(values.map(|&v| f64::from(v)), image.w(), image.h())
}

pub(super) fn random_phase(image: &Pixels, rng: &mut ChaCha8Rng) -> Pixels {
    // The phases of white noise: random, and those of a real image.
    let white =
        (0..image.w() * image.h()).map(|_| f64::from(rng.next_u32()) / 4_294_967_296.0 - 0.5);
    let phases = Spectrum::of(white.collect::<Vec<_>>().into_iter(), image.w(), image.h());
    let mut made = image.clone();
    for (channel, mean) in mean_colour(image).into_iter().enumerate() {
        let values = spectrum(image, channel).with_phases(&phases);
        let bytes = made.data.iter_mut().skip(channel).step_by(image.channels);
        for (to, value) in bytes.zip(values) {
            *to = byte(0.5 * value + 0.5 * mean);
        }
    }
    made
}

pub(super) fn swap_amplitude(image: &Pixels, partner: &Pixels) -> Pixels {
    let mut made = image.clone();
    for channel in 0..image.channels {
        let values = spectrum(partner, channel).with_phases(&spectrum(image, channel));
        let bytes = made.data.iter_mut().skip(channel).step_by(image.channels);
        for (to, value) in bytes.zip(values) {
            *to = byte(value);
        }
    }
    made
}
