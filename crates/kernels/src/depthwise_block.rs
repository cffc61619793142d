//! A depthwise convolution with the convolutions around it, as in MobileNets: an expansion to many
//! channels, the depthwise filter, and the projection to few channels.
//!
//! The expanded feature maps are by far the largest of such networks. Here they never exist as a
//! whole: a few rows at a time pass through all three and stay in the second cache meanwhile.
//! Source: Alwani et al., "Fused-Layer CNN Accelerators", MICRO 2016.

use super::Kernel;
use super::channels_last::ChannelsLastConv;
use super::depthwise::{DepthwiseConv, Rows};
use super::simd::Simd;

/// The least output pixels of a band: fewer leave tiles empty and read the weights more often.
const PIXELS_PER_BAND: usize = 48;

/// Consecutive convolutions with channels last.
#[derive(Debug)]
pub struct DepthwiseBlock {
    /// Doesn't accumulate.
    pub expansion: Option<ChannelsLastConv>,
    /// Reads what the expansion yields, if there is one.
    pub depthwise: DepthwiseConv,
    /// 1x1.
    pub projection: Option<ChannelsLastConv>,
}

impl Kernel for DepthwiseBlock {
    #[inline(always)]
    fn run<S: Simd>(&self, inputs: &[&[f32]], output: &mut [f32]) {
        let input = inputs[0];
        let window = self.depthwise.window();
        let [row, out_row] =
            [window.width, window.out_width].map(|width| width * self.depthwise.channels());
        let band = PIXELS_PER_BAND.div_ceil(window.out_width).min(window.out_height);
        let expansion = self.expansion.as_ref().map(|expansion| (expansion, expansion.pad(input)));
        let held = if expansion.is_some() { window.rows_seen_by(band) } else { window.height };
        // A ring of rows of the depthwise convolution's input, if that isn't the block's own.
        let mut expanded = vec![0.0; if expansion.is_some() { held * row } else { 0 }];
        let mut done = 0;
        let mut filtered = vec![0.0; if self.projection.is_some() { band * out_row } else { 0 }];
        let outputs = output.chunks_mut(output.len() / window.out_height * band);
        for (first, output) in (0..).step_by(band).zip(outputs) {
            let rows = first..window.out_height.min(first + band);
            if let Some((expansion, input)) = &expansion {
                let needed = window.rows_seen_until(rows.end);
                while done < needed {
                    // Up to the end of the ring.
                    let end = needed.min(done - done % held + held);
                    let expanded = &mut expanded[done % held * row..][..(end - done) * row];
                    expansion.pixels::<S>(input, done * window.width..end * window.width, expanded);
                    done = end;
                }
            }
            let seen = Rows { values: if expansion.is_some() { &expanded } else { input }, held };
            let Some(projection) = &self.projection else {
                self.depthwise.rows::<S>(&seen, rows, output);
                continue;
            };
            let pixels = 0..rows.len() * window.out_width;
            let filtered = &mut filtered[..rows.len() * out_row];
            self.depthwise.rows::<S>(&seen, rows, filtered);
            projection.pixels::<S>(filtered, pixels, output);
        }
    }
}
