//! Pseudo-OOD images: what becomes of a held-out image in sixteen ways.
//!
//! Each is made from the image as the model sees it (after resize and crop, before normalisation),
//! of any size and with one or three channels. The same seed gives the same bytes natively and in
//! WebAssembly: ChaCha8, integers, and floating-point operations that IEEE 754 fixes.

mod filters;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;
use serde::Serialize;

use self::filters::{blur, contrast, cutout, noise, random_phase, swap_amplitude};
use crate::error::{Error, Result};
use crate::image::Pixels;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $words:literal;)*) => {
        /// A way to make a pseudo-OOD image.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[cfg_attr(feature = "typescript", derive(ts_rs::TS), ts(rename = "TuneKind"))]
        pub enum Kind { $($(#[$doc])* #[serde(rename = $name)] $kind,)* }

        impl Kind {
            /// Every kind, in the order of reports.
            pub const ALL: [Kind; 16] = [$(Kind::$kind,)*];

            /// Its name in reports.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name,)* }
            }

            /// What is done to the image, in a few plain words.
            pub fn description(self) -> &'static str {
                match self { $(Kind::$kind => $words,)* }
            }
        }
    };
}

kinds! {
    /// 2 x 2 tiles, shuffled.
    Jigsaw2 = "jigsaw2", "four tiles, shuffled";
    /// 4 x 4 tiles, shuffled.
    Jigsaw4 = "jigsaw4", "sixteen tiles, shuffled";
    /// All pixels, shuffled.
    PixelShuffle = "pixels", "all pixels, shuffled";
    /// The mean of the image and one of another class.
    Mixup = "mixup", "blended with another class";
    /// The right or the lower half from an image of another class.
    Cutmix = "cutmix", "half of another class";
    /// A quarter turn, left or right.
    Rot90 = "rot90", "on its side";
    /// Upside down.
    Rot180 = "rot180", "upside down";
    /// Blurred: a Gaussian of 2.5/32 of the shorter side.
    Blur = "blur", "blurred";
    /// Gaussian noise added, with a deviation of 0.25 of full scale.
    Noise = "noise", "noise added";
    /// 255 - x.
    Invert = "invert", "colours inverted";
    /// A square of 20/32 of the shorter side in mean grey, at a random place.
    Cutout = "cutout", "a grey square over it";
    /// A fifth of the contrast: 0.2 of the distance to the image's mean colour.
    Contrast = "contrast", "a fifth of the contrast";
    /// Its own amplitude spectrum with a random phase, mixed half and half with its mean colour.
    Phase = "phase", "shapes lost, colours kept";
    /// Its own phase with the amplitude spectrum of an image of another class.
    Swap = "swap", "outlines kept, tones of another class";
    /// A random part of 10/32 of each side, enlarged.
    Zoom = "zoom", "a small part, enlarged";
    /// A random part of a quarter of each side, repeated 4 x 4.
    Tile = "tile", "a small part, repeated";
}

impl Kind {
    /// Whether it takes a second image, of another class.
    pub fn needs_partner(self) -> bool {
        matches!(self, Self::Mixup | Self::Cutmix | Self::Swap)
    }

    /// Whether it leaves most of what the classes look like: these stand for what lies near the
    /// training data, and rule R\* guards them.
    pub fn is_near(self) -> bool {
        use Kind::{Cutmix, Cutout, Invert, Jigsaw2, Mixup, Rot90, Rot180};
        matches!(self, Mixup | Cutmix | Rot90 | Rot180 | Jigsaw2 | Cutout | Invert)
    }

    /// Makes the pseudo-OOD image of `image` (and of `partner`, an image of another class, where
    /// [`needs_partner`](Self::needs_partner)), with whatever is random drawn from `rng`.
    ///
    /// # Errors
    /// [`ErrorKind::Image`](crate::ErrorKind::Image) if an image contradicts itself, or if the
    /// partner is missing or of another size.
    pub fn make(
        self,
        image: &Pixels,
        partner: Option<&Pixels>,
        rng: &mut ChaCha8Rng,
    ) -> Result<Pixels> {
        image.view()?;
        let partner = match partner {
            _ if !self.needs_partner() => image,
            None => {
                return Err(Error::image(format!(
                    "{} takes a second image, of another class",
                    self.name()
                )));
            }
            Some(partner) => partner,
        };
        let shape = |pixels: &Pixels| (pixels.width, pixels.height, pixels.channels);
        if shape(partner) != shape(image) || partner.data.len() != image.data.len() {
            return Err(Error::image(format!(
                "{} takes two images of one size, but they are {} x {} and {} x {}; resize and \
                 crop both with the model's preprocessing first",
                self.name(),
                image.width,
                image.height,
                partner.width,
                partner.height
            )));
        }
        Ok(match self {
            Self::Jigsaw2 => jigsaw(image, 2, rng),
            Self::Jigsaw4 => jigsaw(image, 4, rng),
            Self::PixelShuffle => shuffle_pixels(image, rng),
            Self::Mixup => {
                zip(image, partner, |a, b| (u16::from(a) + u16::from(b)).div_ceil(2) as u8)
            }
            Self::Cutmix => cutmix(image, partner, rng),
            Self::Rot90 => quarter_turn(image, below(rng, 2) == 0),
            Self::Rot180 => place(image, |x, y| (image.w() - 1 - x, image.h() - 1 - y)),
            Self::Blur => blur(image),
            Self::Noise => noise(image, rng),
            Self::Invert => zip(image, image, |value, _| 255 - value),
            Self::Cutout => cutout(image, rng),
            Self::Contrast => contrast(image),
            Self::Phase => random_phase(image, rng),
            Self::Swap => swap_amplitude(image, partner),
            Self::Zoom => {
                let part = random_part(image, (image.w() * 10 / 32, image.h() * 10 / 32), rng);
                enlarge(&part, image.w(), image.h())
            }
            Self::Tile => {
                let part = random_part(image, (image.w() / 4, image.h() / 4), rng);
                place_from(&part, image, |x, y| (x % part.w(), y % part.h()))
            }
        })
    }
}

/// Sizes as indices.
trait Sides {
    fn w(&self) -> usize;
    fn h(&self) -> usize;
}

impl Sides for Pixels {
    fn w(&self) -> usize {
        self.width as usize
    }
    fn h(&self) -> usize {
        self.height as usize
    }
}

/// A number from 0 to `n` - 1; drawn as 32 bits everywhere, unlike a `usize` would be.
pub(super) fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u64::from(rng.next_u32()) * n as u64) >> 32) as usize
}

/// Fisher and Yates.
pub fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(rng, last + 1));
    }
}

fn byte(value: f64) -> u8 {
    // The cast saturates.
    (value + 0.5).floor() as u8
}

fn zip(image: &Pixels, partner: &Pixels, mix: impl Fn(u8, u8) -> u8) -> Pixels {
    let data = image.data.iter().zip(&partner.data).map(|(&a, &b)| mix(a, b)).collect();
    Pixels { data, ..*image }
}

/// An image like `image` whose pixel (x, y) is that of `image` at `source(x, y)`.
fn place(image: &Pixels, source: impl Fn(usize, usize) -> (usize, usize)) -> Pixels {
    place_from(image, image, source)
}

/// An image of the size of `like` whose pixel (x, y) is that of `image` at `source(x, y)`.
fn place_from(
    image: &Pixels,
    like: &Pixels,
    source: impl Fn(usize, usize) -> (usize, usize),
) -> Pixels {
    let mut data = Vec::with_capacity(like.data.len());
    for y in 0..like.h() {
        for x in 0..like.w() {
            let (x, y) = source(x, y);
            let at = (y * image.w() + x) * image.channels;
            data.extend_from_slice(&image.data[at..at + image.channels]);
        }
    }
    Pixels { data, ..*like }
}

/// Tiles at any place but all at their own; what the sides have beyond whole tiles stays.
fn jigsaw(image: &Pixels, n: usize, rng: &mut ChaCha8Rng) -> Pixels {
    let (width, height) = (image.w() / n, image.h() / n);
    let mut order: Vec<usize> = (0..n * n).collect();
    while order.is_sorted() {
        shuffle(&mut order, rng);
    }
    place(image, |x, y| {
        if x >= width * n || y >= height * n {
            return (x, y);
        }
        let tile = order[y / height * n + x / width];
        (tile % n * width + x % width, tile / n * height + y % height)
    })
}

fn shuffle_pixels(image: &Pixels, rng: &mut ChaCha8Rng) -> Pixels {
    let mut order: Vec<usize> = (0..image.w() * image.h()).collect();
    shuffle(&mut order, rng);
    place(image, |x, y| {
        let from = order[y * image.w() + x];
        (from % image.w(), from / image.w())
    })
}

fn cutmix(image: &Pixels, partner: &Pixels, rng: &mut ChaCha8Rng) -> Pixels {
    let right = below(rng, 2) == 0;
    let mut mixed = image.clone();
    let row = image.w() * image.channels;
    for y in 0..image.h() {
        let from = match (right, y < image.h() / 2) {
            (true, _) => image.w() / 2 * image.channels,
            (false, true) => row,
            (false, false) => 0,
        };
        let range = y * row + from..(y + 1) * row;
        mixed.data[range.clone()].copy_from_slice(&partner.data[range]);
    }
    mixed
}

/// A turn by 90 (or else 270) degrees, stretched to the old size where the sides differ.
fn quarter_turn(image: &Pixels, clockwise: bool) -> Pixels {
    let (width, height) = (image.w(), image.h());
    let turned = Pixels {
        data: vec![0; image.data.len()],
        width: image.height,
        height: image.width,
        channels: image.channels,
    };
    let turned = place_from(image, &turned, |x, y| {
        if clockwise { (y, height - 1 - x) } else { (width - 1 - y, x) }
    });
    if width == height { turned } else { enlarge(&turned, width, height) }
}

/// A random part of nine tenths of each side, enlarged bilinearly: what leaves an image what it is.
/// The part may begin between two pixels.
pub(crate) fn slight_zoom(image: &Pixels, rng: &mut ChaCha8Rng) -> Pixels {
    const PART: f64 = 0.9;
    let mut start = |side: usize| {
        let share = f64::from(rng.next_u32()) / 4_294_967_296.0;
        share * (1.0 - PART) * side as f64
    };
    let (left, top) = (start(image.w()), start(image.h()));
    let source = |at: usize, from: f64, side: usize| {
        let place = (from + (at as f64 + 0.5) * PART - 0.5).clamp(0.0, (side - 1) as f64);
        let low = place.floor();
        (low as usize, (low as usize + 1).min(side - 1), place - low)
    };
    let value = |x: usize, y: usize, channel: usize| {
        f64::from(image.data[(y * image.w() + x) * image.channels + channel])
    };
    let mut data = Vec::with_capacity(image.data.len());
    for y in 0..image.h() {
        let (above, below, down) = source(y, top, image.h());
        for x in 0..image.w() {
            let (left, right, along) = source(x, left, image.w());
            for channel in 0..image.channels {
                let row =
                    |y| (1.0 - along) * value(left, y, channel) + along * value(right, y, channel);
                data.push(byte((1.0 - down) * row(above) + down * row(below)));
            }
        }
    }
    Pixels { data, ..*image }
}

fn random_part(image: &Pixels, size: (usize, usize), rng: &mut ChaCha8Rng) -> Pixels {
    let (width, height) = (size.0.max(1), size.1.max(1));
    let left = below(rng, image.w() - width + 1);
    let top = below(rng, image.h() - height + 1);
    let part = Pixels {
        data: vec![0; width * height * image.channels],
        width: width as u32,
        height: height as u32,
        channels: image.channels,
    };
    place_from(image, &part, |x, y| (left + x, top + y))
}

/// Bilinear, pixels' centres at their middle, the border repeated outwards.
fn enlarge(image: &Pixels, width: usize, height: usize) -> Pixels {
    let source = |at: usize, from: usize, to: usize| {
        let place = (at as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        let place = place.clamp(0.0, (from - 1) as f64);
        let low = place.floor();
        (low as usize, (low as usize + 1).min(from - 1), place - low)
    };
    let value = |x: usize, y: usize, channel: usize| {
        f64::from(image.data[(y * image.w() + x) * image.channels + channel])
    };
    let mut data = Vec::with_capacity(width * height * image.channels);
    for y in 0..height {
        let (top, bottom, down) = source(y, image.h(), height);
        for x in 0..width {
            let (left, right, along) = source(x, image.w(), width);
            for channel in 0..image.channels {
                let row =
                    |y| (1.0 - along) * value(left, y, channel) + along * value(right, y, channel);
                data.push(byte((1.0 - down) * row(top) + down * row(bottom)));
            }
        }
    }
    Pixels { data, width: width as u32, height: height as u32, channels: image.channels }
}
