//! Images that are changed but still of their class: five kinds in three strengths.
//!
//! Applied to what the model would see, after resizing and cropping, so that one strength means the
//! same for every size of photo. Lengths are parts of the shorter side.

use itp_ood::{Error, Pixels, Result};
use libjpeg_turbo_rs::{Decoder, PixelFormat, Subsampling, compress};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Independent Gaussian noise in each value.
    Noise,
    /// A Gaussian blur.
    Blur,
    /// Compression as JPEG.
    Jpeg,
    /// Less light: every value times a factor.
    Dark,
    /// Less contrast: every value moved towards its channel's mean.
    Contrast,
}

/// All kinds, with their names and what their three strengths are: standard deviation in grey levels,
/// standard deviation in parts of the shorter side, JPEG quality, factors.
pub const KINDS: [(Kind, &str, [f32; 3]); 5] = [
    (Kind::Noise, "noise", [8.0, 16.0, 32.0]),
    (Kind::Blur, "blur", [0.01, 0.02, 0.04]),
    (Kind::Jpeg, "jpeg", [50.0, 25.0, 10.0]),
    (Kind::Dark, "dark", [0.7, 0.5, 0.3]),
    (Kind::Contrast, "contrast", [0.7, 0.5, 0.3]),
];

/// A change of one kind and strength.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Corruption {
    pub kind: Kind,
    pub amount: f32,
}

impl Corruption {
    /// All of them, by names such as `blur-2`.
    pub fn all() -> impl Iterator<Item = (String, Self)> {
        KINDS.into_iter().flat_map(|(kind, name, amounts)| {
            let named = move |(at, amount)| (format!("{name}-{}", at + 1), Self { kind, amount });
            amounts.into_iter().enumerate().map(named)
        })
    }

    /// The changed image; the seed and the image's number decide on the noise.
    ///
    /// # Errors
    /// [`ErrorKind::Image`](itp_ood::ErrorKind::Image) if the image is neither grey nor RGB, or can't
    /// be compressed.
    pub fn apply(self, image: &Pixels, seed: u64, number: u64) -> Result<Pixels> {
        let Self { kind, amount } = self;
        let data = match kind {
            Kind::Noise => noise(&image.data, amount, seed, number),
            Kind::Blur => blur(image, amount * image.width.min(image.height) as f32),
            Kind::Jpeg => jpeg(image, amount as u8)?,
            Kind::Dark => {
                image.data.iter().map(|&value| level(f32::from(value) * amount)).collect()
            }
            Kind::Contrast => contrast(image, amount),
        };
        Ok(Pixels { data, ..*image })
    }
}

/// The nearest grey level.
fn level(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

fn noise(data: &[u8], deviation: f32, seed: u64, number: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    let mut uniform = || (rng.next_u32() >> 8) as f32 / (1 << 24) as f32;
    let mut normal = || {
        // Box and Muller; the logarithm's argument is never 0.
        let (radius, angle) = (1.0 - uniform(), uniform());
        (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
    };
    data.iter().map(|&value| level(f32::from(value) + deviation * normal())).collect()
}

/// A Gaussian cut off at three deviations, first along rows, then along columns. Outside the image its
/// edge goes on.
fn blur(image: &Pixels, deviation: f32) -> Vec<u8> {
    let reach = (3.0 * deviation).ceil() as i64;
    let weight = |at: i64| (-0.5 * (at as f32 / deviation).powi(2)).exp();
    let total: f32 = (-reach..=reach).map(weight).sum();
    let weights: Vec<f32> = (-reach..=reach).map(|at| weight(at) / total).collect();
    let [width, height] = [image.width, image.height].map(i64::from);
    let values: Vec<f32> = image.data.iter().map(|&value| f32::from(value)).collect();
    let along = |values: &[f32], step: (i64, i64)| -> Vec<f32> {
        let mut blurred = Vec::with_capacity(values.len());
        for y in 0..height {
            for x in 0..width {
                for channel in 0..image.channels {
                    let at = |offset: i64| {
                        let x = (x + offset * step.0).clamp(0, width - 1);
                        let y = (y + offset * step.1).clamp(0, height - 1);
                        values[(y * width + x) as usize * image.channels + channel]
                    };
                    blurred.push((-reach..=reach).zip(&weights).map(|(o, w)| w * at(o)).sum());
                }
            }
        }
        blurred
    };
    along(&along(&values, (1, 0)), (0, 1)).into_iter().map(level).collect()
}

fn jpeg(image: &Pixels, quality: u8) -> Result<Vec<u8>> {
    let format = match image.channels {
        1 => PixelFormat::Grayscale,
        3 => PixelFormat::Rgb,
        other => return Err(Error::image(format!("an image of {other} channels has no JPEG"))),
    };
    let compressed = || {
        // Colour at half the resolution, as libjpeg does by default.
        let (width, height) = (image.width as usize, image.height as usize);
        let file = compress(&image.data, width, height, format, quality, Subsampling::S420)?;
        let mut decoder = Decoder::new(&file)?;
        decoder.set_output_format(format);
        decoder.decode_image()
    };
    match compressed() {
        Ok(image) => Ok(image.data),
        Err(error) => Err(Error::image("the image can't be compressed").with_source(error)),
    }
}

fn contrast(image: &Pixels, factor: f32) -> Vec<u8> {
    let mut sums = vec![0.0f64; image.channels];
    for (at, &value) in image.data.iter().enumerate() {
        sums[at % image.channels] += f64::from(value);
    }
    let pixels = (image.data.len() / image.channels).max(1) as f64;
    let values = image.data.iter().enumerate().map(|(at, &value)| {
        let mean = (sums[at % image.channels] / pixels) as f32;
        level(mean + factor * (f32::from(value) - mean))
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grey ramp with a bright square.
    fn image(channels: usize) -> Pixels {
        let data = (0..32 * 32 * channels).map(|at| {
            let (x, y) = (at / channels % 32, at / channels / 32);
            if (10..20).contains(&x) && (10..20).contains(&y) { 250 } else { (x * 4) as u8 }
        });
        Pixels { data: data.collect(), width: 32, height: 32, channels }
    }

    fn distance(a: &Pixels, b: &Pixels) -> f64 {
        let squares =
            a.data.iter().zip(&b.data).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
        (squares.sum::<f64>() / a.data.len() as f64).sqrt()
    }

    #[test]
    fn each_strength_changes_more_than_the_one_before() {
        for channels in [1, 3] {
            let image = image(channels);
            for (kind, name, amounts) in KINDS {
                let mut last = 0.0;
                for amount in amounts {
                    let changed = Corruption { kind, amount }.apply(&image, 0, 0).unwrap();
                    assert_eq!(changed.data.len(), image.data.len());
                    let change = distance(&image, &changed);
                    assert!(change > last, "{name} {amount}: {change} after {last}");
                    last = change;
                }
            }
        }
        assert_eq!(Corruption::all().count(), 15);
        assert_eq!(Corruption::all().next().unwrap().0, "noise-1");
    }

    #[test]
    fn noise_has_its_deviation_and_follows_seed_and_number() {
        let flat = Pixels { data: vec![128; 64 * 64], width: 64, height: 64, channels: 1 };
        let noisy = |seed, number| {
            Corruption { kind: Kind::Noise, amount: 16.0 }.apply(&flat, seed, number).unwrap()
        };
        assert!((distance(&flat, &noisy(0, 0)) - 16.0).abs() < 1.0);
        assert_eq!(noisy(0, 1).data, noisy(0, 1).data);
        assert!(noisy(0, 0).data != noisy(0, 1).data && noisy(0, 0).data != noisy(1, 0).data);
    }

    #[test]
    fn blur_and_contrast_keep_what_is_flat() {
        let flat = Pixels { data: [7, 90, 250].repeat(256), width: 16, height: 16, channels: 3 };
        for kind in [Kind::Blur, Kind::Contrast] {
            assert_eq!(
                Corruption { kind, amount: 0.5 }.apply(&flat, 0, 0).unwrap().data,
                flat.data
            );
        }
        let dark = Corruption { kind: Kind::Dark, amount: 0.5 }.apply(&flat, 0, 0).unwrap();
        assert_eq!(dark.data[..3], [4, 45, 125]);
    }
}
