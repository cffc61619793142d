//! `itp score --evidence`: where in the image a class's logit comes from, over the greyed crop.

use itp_ood::Pixels;
use itp_ood::detection::Evidence;

/// The least side of a picture, in pixels.
const SIDE: u32 = 256;
/// Share of the colour where a position adds or takes away most.
const STRONGEST: f32 = 0.75;
/// For and against the class; colours that people with any colour vision can tell apart.
const FOR: [f32; 3] = [0.0, 114.0, 178.0];
const AGAINST: [f32; 3] = [213.0, 94.0, 0.0];

/// The crop that the network sees, enlarged, with each position of the map in its colour.
pub fn picture(crop: &Pixels, of: &Evidence) -> Pixels {
    let factor = SIDE.div_ceil(crop.width.min(crop.height));
    let (width, height) = (crop.width * factor, crop.height * factor);
    let most = of.data.iter().fold(f32::MIN_POSITIVE, |most, value| most.max(value.abs()));
    let mut data = Vec::with_capacity((width * height) as usize * 3);
    for y in 0..height {
        for x in 0..width {
            let at = ((y / factor) * crop.width + x / factor) as usize * crop.channels;
            let pixel = &crop.data[at..at + crop.channels.min(3)];
            let grey =
                pixel.iter().map(|&value| f32::from(value)).sum::<f32>() / pixel.len() as f32;
            let place = |at: u32, of: usize, length: u32| at as usize * of / length as usize;
            let cell = place(y, of.height, height) * of.width + place(x, of.width, width);
            let colour = if of.data[cell] > 0.0 { FOR } else { AGAINST };
            let share = STRONGEST * of.data[cell].abs() / most;
            data.extend(colour.map(|colour| (grey + (colour - grey) * share).round() as u8));
        }
    }
    Pixels { data, width, height, channels: 3 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn positions_are_coloured_by_what_they_add() {
        let crop = Pixels { data: vec![100; 8 * 4 * 3], width: 8, height: 4, channels: 3 };
        let of =
            Evidence { data: array![2.0, 0.0, -1.0].into(), height: 1, width: 3, class_index: 0 };
        let Pixels { data, width, height, channels } = picture(&crop, &of);
        assert_eq!((width, height, channels, data.len()), (512, 256, 3, 512 * 256 * 3));
        let at = |x: usize| &data[x * 3..x * 3 + 3];
        assert_eq!((at(0), at(256)), (&[25, 111, 159][..], &[100, 100, 100][..]));
        assert!(at(511)[0] > 100 && at(511)[2] < 100);
    }
}
