//! Padding of inputs with channels first.

use super::simd::Simd;
use super::spec::BnRelu;
use super::window::Window;

/// Copies the input into planes of `[height, width]` with zeros around it (or without what no
/// window sees), and applies the prologue; the zeros stay zeros.
#[cfg_attr(not(target_arch = "wasm32"), inline(always))]
pub fn pad<S: Simd>(
    input: &[f32],
    window: &Window,
    channels: usize,
    prologue: Option<&[BnRelu]>,
    [height, width]: [usize; 2],
) -> Vec<f32> {
    let Window { pad: [top, left], .. } = *window;
    let mut padded = vec![0.0; channels * height * width];
    let rows = height.saturating_sub(top).min(window.height);
    // With a wide padding, windows may end before the input begins.
    let left = left.min(width);
    let columns = (width - left).min(window.width);
    for channel in 0..channels {
        let prologue = prologue.map(|prologue| prologue[channel]);
        let source = &input[channel * window.pixels()..][..window.pixels()];
        let target = &mut padded[channel * height * width..][..height * width];
        for row in 0..rows {
            let source = &source[row * window.width..][..columns];
            let target = &mut target[(row + top) * width + left..][..columns];
            match prologue {
                None => target.copy_from_slice(source),
                Some(prologue) => {
                    let whole = columns / S::LANES * S::LANES;
                    let (target, target_rest) = target.split_at_mut(whole);
                    let (source, source_rest) = source.split_at(whole);
                    let source = source.chunks_exact(S::LANES);
                    for (target, source) in target.chunks_exact_mut(S::LANES).zip(source) {
                        prologue.apply(S::load(source)).store(target);
                    }
                    for (target, &source) in target_rest.iter_mut().zip(source_rest) {
                        *target = prologue.apply_scalar(source);
                    }
                }
            }
        }
    }
    padded
}
