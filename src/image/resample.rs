//! PIL's `Image.resize` for 8-bit images, bit for bit.
//!
//! Source: Pillow's src/libImaging/Resample.c. Two passes, across and then down, each with weights in
//! 22-bit fixed point and a result rounded to a byte. (Since version 13, Pillow goes down first where
//! an image is tall; its results then differ by one here and there.)
//!
//! fast_image_resize does the same with 16-bit weights and goes down first, which differs by up to 5
//! where bicubic overshoots; and its generic code took 50 s of every build of this crate.

use super::Interpolation;

/// Fixed-point bits of a weight: 32 less 8 for the pixel and 2 for sign and overshoot.
const PRECISION_BITS: u32 = 22;
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Resizes `data`, interleaved rows with `C` channels, from one (width, height) to another; all
/// sides are at least 1.
pub(super) fn resize<const C: usize>(
    data: &[u8],
    from: (u32, u32),
    to: (u32, u32),
    filter: Interpolation,
) -> Vec<u8> {
    let across = Taps::new(from.0, to.0, filter);
    let down = Taps::new(from.1, to.1, filter);
    let row_bytes = to.0 as usize * C;
    let mut out = vec![0; row_bytes * to.1 as usize];
    // Only the rows that the output row needs are kept: a window that slides down the image.
    let mut window = vec![0; down.longest * row_bytes];
    let mut sums = vec![0; row_bytes];
    let mut next_row = 0;
    for (tap, out_row) in down.taps.iter().zip(out.chunks_exact_mut(row_bytes)) {
        while next_row < tap.start + tap.len {
            let row = &data[next_row * from.0 as usize * C..][..from.0 as usize * C];
            let slot = next_row % down.longest;
            across.row::<C>(row, &mut window[slot * row_bytes..][..row_bytes]);
            next_row += 1;
        }
        sums.fill(HALF);
        for (i, &weight) in down.weights(tap).iter().enumerate() {
            let slot = (tap.start + i) % down.longest;
            let row = &window[slot * row_bytes..][..row_bytes];
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(value);
            }
        }
        for (value, &sum) in out_row.iter_mut().zip(&sums) {
            *value = to_byte(sum);
        }
    }
    out
}

/// The weights of one direction.
struct Taps {
    taps: Vec<Tap>,
    weights: Vec<i32>,
    /// The most source values that one output value needs.
    longest: usize,
}

/// Which source values make one output value, and where their weights lie.
struct Tap {
    start: usize,
    len: usize,
    first_weight: usize,
}

impl Taps {
    fn new(from: u32, to: u32, filter: Interpolation) -> Self {
        let mut all = Self { taps: Vec::new(), weights: Vec::new(), longest: 1 };
        if from == to {
            // PIL skips the pass: every value is its own.
            all.weights.push(1 << PRECISION_BITS);
            all.taps =
                (0..to as usize).map(|start| Tap { start, len: 1, first_weight: 0 }).collect();
            return all;
        }
        let scale = f64::from(from) / f64::from(to);
        let filter_scale = scale.max(1.0);
        let support = filter.support() * filter_scale;
        let inverse = 1.0 / filter_scale;
        let mut floats = Vec::new();
        for i in 0..to {
            let centre = (f64::from(i) + 0.5) * scale;
            let start = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(from as usize);
            floats.clear();
            floats.extend((start..end).map(|x| filter.weight((x as f64 - centre + 0.5) * inverse)));
            let sum: f64 = floats.iter().sum();
            let tap = Tap { start, len: end - start, first_weight: all.weights.len() };
            all.weights.extend(floats.iter().map(|w| fixed_point(w / sum)));
            all.longest = all.longest.max(tap.len);
            all.taps.push(tap);
        }
        all
    }

    fn weights(&self, tap: &Tap) -> &[i32] {
        &self.weights[tap.first_weight..][..tap.len]
    }

    fn row<const C: usize>(&self, source: &[u8], target: &mut [u8]) {
        let (source, _) = source.as_chunks::<C>();
        let (target, _) = target.as_chunks_mut::<C>();
        for (tap, out) in self.taps.iter().zip(target) {
            let mut sums = [HALF; C];
            for (pixel, &weight) in source[tap.start..][..tap.len].iter().zip(self.weights(tap)) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(value);
                }
            }
            *out = sums.map(to_byte);
        }
    }
}

impl Interpolation {
    /// Half the filter's width, in pixels of the coarser image.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Self::Bicubic => 0.0,
        }
    }
}

/// Rounds half away from zero, as PIL does.
fn fixed_point(weight: f64) -> i32 {
    (weight * f64::from(1 << PRECISION_BITS)).round() as i32
}

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}
