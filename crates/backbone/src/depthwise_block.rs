//! A depthwise convolution with the convolutions around it, as in MobileNets: one widens the
//! picture to many channels, the depthwise one filters them, the next narrows it again.
//!
//! The wide pictures between are by far the largest of such networks. Here they never exist as a
//! whole: a few rows at a time pass through all three and stay in the processor's second cache
//! meanwhile. Source: Alwani et al., "Fused-Layer CNN Accelerators", MICRO 2016.

use super::channels_last::ChannelsLast;
use super::depthwise::{Depthwise, Rows};
use super::lanes::Lanes;
use super::operators::Kernel;

/// Output pixels at a time, at least: fewer leave tiles empty and read the weights more often.
const TOGETHER: usize = 48;

/// Convolutions one behind the other, on pictures with channels last.
#[derive(Debug)]
pub(super) struct DepthwiseBlock {
    /// Doesn't add to its output.
    pub before: Option<ChannelsLast>,
    pub depthwise: Depthwise,
    /// A 1x1 convolution.
    pub after: Option<ChannelsLast>,
}

impl Kernel for DepthwiseBlock {
    #[inline(always)]
    fn run<L: Lanes>(&self, input: &[f32], output: &mut [f32]) {
        let window = self.depthwise.window();
        let [row, out_row] =
            [window.width, window.out_width].map(|width| width * self.depthwise.channels());
        let band = TOGETHER.div_ceil(window.out_width).min(window.out_height);
        let before = self.before.as_ref().map(|before| (before, before.pad(input)));
        let held = if before.is_some() { window.rows_seen_by(band) } else { window.height };
        // Rows of the depthwise convolution's input, if it isn't the block's own.
        let mut wide = vec![0.0; if before.is_some() { held * row } else { 0 }];
        let mut done = 0;
        let mut filtered = vec![0.0; if self.after.is_some() { band * out_row } else { 0 }];
        let outputs = output.chunks_mut(output.len() / window.out_height * band);
        for (first, output) in (0..).step_by(band).zip(outputs) {
            let rows = first..window.out_height.min(first + band);
            if let Some((before, input)) = &before {
                let needed = window.rows_seen_until(rows.end);
                while done < needed {
                    // As far as the rows lie side by side.
                    let end = needed.min(done - done % held + held);
                    let wide = &mut wide[done % held * row..][..(end - done) * row];
                    before.pixels::<L>(input, done * window.width..end * window.width, wide);
                    done = end;
                }
            }
            let seen = Rows { values: if before.is_some() { &wide } else { input }, held };
            let Some(after) = &self.after else {
                self.depthwise.rows::<L>(&seen, rows, output);
                continue;
            };
            let pixels = 0..rows.len() * window.out_width;
            let filtered = &mut filtered[..rows.len() * out_row];
            self.depthwise.rows::<L>(&seen, rows, filtered);
            after.pixels::<L>(filtered, pixels, output);
        }
    }
}
