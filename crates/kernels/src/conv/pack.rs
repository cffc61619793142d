//! Packing of padded planes into panels.

use std::ops::Range;

use super::{DirectConv, MAX_PIXELS, PANELS};
use crate::simd::Simd;
use crate::spec::BnRelu;
use crate::tile::Panel;
use crate::window::Window;

/// The padded channels that one group reads.
#[derive(Clone, Copy)]
pub(super) struct Planes<'a> {
    /// `[channels, plane]`.
    pub values: &'a [f32],
    /// Number of values of a channel.
    pub plane: usize,
    /// Length of a channel's rows.
    pub width: usize,
    /// How far each tap of a window lies from its first.
    pub taps: &'a [usize],
    /// By channel, where it isn't applied with the padding.
    pub prologue: Option<&'a [BnRelu]>,
}

impl DirectConv {
    /// How far each tap of a window lies from its first, in rows of `width`.
    pub(super) fn tap_offsets(&self, width: usize) -> Vec<usize> {
        let Window { kernel: [rows, columns], dilation, .. } = self.window;
        (0..rows)
            .flat_map(|row| {
                (0..columns).map(move |column| row * dilation[0] * width + column * dilation[1])
            })
            .collect()
    }

    /// Writes two panels: what every channel and tap see at the given output pixels.
    #[cfg_attr(not(target_arch = "wasm32"), inline(always))]
    pub(super) fn pack<S: Simd>(
        &self,
        planes: Planes,
        pixels: Range<usize>,
        left: &mut [Panel<S>],
        right: &mut [Panel<S>],
    ) {
        let Planes { values: input, plane, width, taps, prologue } = planes;
        let stride = self.window.stride;
        let count = pixels.len();
        // Sums of what lies past the last pixel are never stored.
        let mut offsets = [0; MAX_PIXELS];
        let offsets = &mut offsets[..PANELS * 2 * S::LANES];
        let (mut row, mut column) =
            (pixels.start / self.window.out_width, pixels.start % self.window.out_width);
        for offset in &mut offsets[..count] {
            *offset = row * stride[0] * width + column * stride[1];
            column += 1;
            if column == self.window.out_width {
                (row, column) = (row + 1, 0);
            }
        }
        let is_run = |offsets: &[usize]| offsets.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let planes = input.chunks_exact(plane);
        let rows = left.chunks_exact_mut(taps.len()).zip(right.chunks_exact_mut(taps.len()));
        let row_of_pixels = is_run(&offsets[..count]);
        if row_of_pixels && count == offsets.len() {
            let first = offsets[0];
            if let Some(prologue) = prologue {
                for ((plane, (left, right)), &prologue) in planes.zip(rows).zip(prologue) {
                    let [near, far] = consecutive_panels(&plane[first..]);
                    left[0] = prologue.apply_panel(near);
                    right[0] = prologue.apply_panel(far);
                }
            } else {
                for (plane, (left, right)) in planes.zip(rows) {
                    for ((left, right), tap) in left.iter_mut().zip(right).zip(taps) {
                        [*left, *right] = consecutive_panels(&plane[first + tap..]);
                    }
                }
            }
            return;
        }
        if prologue.is_none() && offsets.chunks_exact(S::LANES).all(is_run) {
            let [a, b, c, d] = [0, 1, 2, 3].map(|at| offsets[at * S::LANES]);
            for (plane, (left, right)) in planes.zip(rows) {
                for ((left, right), tap) in left.iter_mut().zip(right).zip(taps) {
                    let plane = &plane[*tap..];
                    *left = [S::load(&plane[a..]), S::load(&plane[b..])];
                    *right = [S::load(&plane[c..]), S::load(&plane[d..])];
                }
            }
            return;
        }
        let mut values = [0.0; MAX_PIXELS];
        for (channel, (plane, (left, right))) in planes.zip(rows).enumerate() {
            for ((left, right), tap) in left.iter_mut().zip(right).zip(taps) {
                let plane = &plane[*tap..];
                if row_of_pixels {
                    values[..count].copy_from_slice(&plane[offsets[0]..][..count]);
                } else {
                    for (value, &offset) in values.iter_mut().zip(&offsets[..count]) {
                        *value = plane[offset];
                    }
                }
                [*left, *right] = consecutive_panels(&values);
                if let Some(prologue) = prologue {
                    *left = prologue[channel].apply_panel(*left);
                    *right = prologue[channel].apply_panel(*right);
                }
            }
        }
    }
}

/// Two panels of consecutive values.
#[inline(always)]
fn consecutive_panels<S: Simd>(values: &[f32]) -> [Panel<S>; PANELS] {
    let values = &values[..4 * S::LANES];
    let (near, far) = values.split_at(2 * S::LANES);
    [[S::load(near), S::load(&near[S::LANES..])], [S::load(far), S::load(&far[S::LANES..])]]
}
