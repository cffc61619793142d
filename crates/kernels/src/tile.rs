//! The register tile that direct and Winograd convolutions share.

use super::simd::Simd;

/// Output channels of a tile.
pub const ROWS: usize = 4;

/// What one channel and tap see at two registers of output pixels.
pub type Panel<S> = [S; 2];
/// The sums of 4 output channels at a panel's pixels.
pub type Tile<S> = [[S; 2]; ROWS];

/// The channels of each block; `None` past the last channel, where weights are zeros and sums are
/// never stored.
pub fn blocks_of(channels: usize) -> impl Iterator<Item = [Option<usize>; ROWS]> {
    (0..channels).step_by(ROWS).map(move |first| {
        std::array::from_fn(|row| Some(first + row).filter(|&channel| channel < channels))
    })
}

/// A tile that holds its bias.
#[inline(always)]
pub fn starting_at<S: Simd>(bias: [f32; ROWS]) -> Tile<S> {
    let mut sums = [[S::splat(0.0); 2]; ROWS];
    for row in 0..ROWS {
        sums[row] = [S::splat(bias[row]); 2];
    }
    sums
}

/// Adds the products of weights and panels to a tile; with one half, those of the panels' first
/// register only. Inlined on purpose: a call costs a tenth.
#[inline(always)]
pub fn multiply_tile<S: Simd, const HALVES: usize>(
    weights: &[[f32; ROWS]],
    panels: &[Panel<S>],
    mut sums: Tile<S>,
) -> Tile<S> {
    for (weights, pixels) in weights.iter().zip(panels) {
        for row in 0..ROWS {
            let weight = S::splat(weights[row]);
            for half in 0..HALVES {
                sums[row][half] = weight.mul_add(pixels[half], sums[row][half]);
            }
        }
    }
    sums
}
