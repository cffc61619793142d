//! JPEG files of four channels (CMYK, YCCK) of different sizes. The decoder takes the last one (black)
//! for full-sized, and enlarges the others with what pads them to whole blocks; libjpeg-turbo doesn't.

use libjpeg_turbo_rs::decode::color::ycbcr_to_rgb_pixel;
use libjpeg_turbo_rs::decode::upsample::{fancy_h2v1, fancy_h2v2_strided};
use libjpeg_turbo_rs::{ColorSpace, Decoder, JpegError};

/// Whether the channels of a file have different sizes, and there are four.
pub(super) fn is_uneven(decoder: &Decoder) -> bool {
    let sampling = sampling(decoder);
    sampling.len() == 4 && sampling.iter().any(|of| *of != sampling[0])
}

/// Of each channel, its samples across and down.
fn sampling(decoder: &Decoder) -> Vec<[usize; 2]> {
    let components = decoder.header().components.iter();
    components.map(|c| [c.horizontal_sampling.into(), c.vertical_sampling.into()]).collect()
}

/// RGB pixels, as PIL's `convert("RGB")` gives them.
pub(super) fn decode(decoder: Decoder) -> Result<Vec<u8>, JpegError> {
    let is_ycck = decoder.jpeg_color_space() == ColorSpace::Ycck;
    let [width, height] = [decoder.header().width(), decoder.header().height()];
    let sampling = sampling(&decoder);
    let most = [0, 1].map(|axis| sampling.iter().map(|of| of[axis]).max().unwrap_or(1));
    if sampling.iter().any(|of| most[0] % of[0] != 0 || most[1] % of[1] != 0) {
        return Err(JpegError::Unsupported("channels of odd shares of the size".into()));
    }
    let raw = decoder.decode_raw()?;
    let planes: Vec<Plane> = sampling
        .iter()
        .zip(raw.planes.into_iter().zip(raw.plane_widths))
        .map(|([across, down], (data, stride))| {
            let width = (width * across).div_ceil(most[0]);
            let height = (height * down).div_ceil(most[1]);
            Plane { data, stride, width, height }.enlarged(most[0] / across, most[1] / down)
        })
        .collect();
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let [a, b, c, black] = [0, 1, 2, 3].map(|i| planes[i].data[y * planes[i].stride + x]);
            let colours = if is_ycck {
                let (r, g, b) = ycbcr_to_rgb_pixel(a, b, c);
                [255 - r, 255 - g, 255 - b]
            } else {
                [a, b, c]
            };
            // Stored upside down: 255 is no ink.
            rgb.extend(colours.map(|v| ((u16::from(v) * u16::from(black) + 127) / 255) as u8));
        }
    }
    Ok(rgb)
}

struct Plane {
    data: Vec<u8>,
    /// From row to row; what is behind the width pads it.
    stride: usize,
    width: usize,
    height: usize,
}

impl Plane {
    /// Smoothly where it is halved, as libjpeg-turbo does it, else by repeating.
    fn enlarged(self, across: usize, down: usize) -> Self {
        if (across, down) == (1, 1) {
            return self;
        }
        let (stride, height) = (self.width * across, self.height * down);
        let mut data = vec![0; stride * height];
        match (across, down) {
            (2, 1) if self.width > 2 => {
                for (y, row) in data.chunks_mut(stride).enumerate() {
                    fancy_h2v1(self.row(y), self.width, row, stride);
                }
            }
            (2, 2) if self.width > 2 => {
                let Self { width, height, .. } = self;
                fancy_h2v2_strided(&self.data, width, self.stride, height, &mut data, stride);
            }
            (1, 2) => {
                for (y, row) in data.chunks_mut(stride).enumerate() {
                    // The row that it lies in, and the one that it is next to.
                    let (near, rounding) = (y / 2, 1 + (y % 2) as u16);
                    let far = if y % 2 == 0 { near.max(1) - 1 } else { near + 1 };
                    let pairs = self.row(near).iter().zip(self.row(far.min(self.height - 1)));
                    for (value, (&near, &far)) in row.iter_mut().zip(pairs) {
                        *value = ((3 * u16::from(near) + u16::from(far) + rounding) >> 2) as u8;
                    }
                }
            }
            _ => {
                for (y, row) in data.chunks_mut(stride).enumerate() {
                    let from = self.row(y / down);
                    row.iter_mut().enumerate().for_each(|(x, value)| *value = from[x / across]);
                }
            }
        }
        Self { data, stride, width: stride, height }
    }

    fn row(&self, y: usize) -> &[u8] {
        &self.data[y * self.stride..][..self.width]
    }
}
