//! The preprocessing that a `preprocessor_config.json` of Hugging Face's transformers describes.

use serde_json::{Map, Value};

use super::{Channels, Interpolation, Preprocess};
use crate::error::{Error, Result};

/// What of a configuration changes an image in a way that [`Preprocess`] can't.
const UNSUPPORTED: [(&str, &str); 5] = [
    ("do_flip_channel_order", "blue, green, red instead of red, green, blue"),
    ("do_color_quantize", "colour clusters"),
    ("do_pad", "padding"),
    ("apply_ocr", "text recognition"),
    ("do_thumbnail", "thumbnails"),
];

impl Preprocess {
    /// Whether an object is a configuration of Hugging Face's, and not a [`Preprocess`] itself.
    pub fn is_hugging_face(config: &Value) -> bool {
        let keys = ["do_resize", "do_normalize", "do_rescale", "image_mean", "size", "crop_size"];
        config.get("std").is_none() && keys.iter().any(|key| config.get(key).is_some())
    }

    /// Reads the text of a `preprocessor_config.json`.
    ///
    /// # Errors
    /// [`ErrorKind::Options`](crate::ErrorKind::Options) if it isn't one, or asks for something that
    /// has no counterpart here.
    pub fn from_hugging_face(json: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(json).map_err(|error| {
            Error::options("this isn't a preprocessor_config.json: it is no JSON")
                .with_source(error)
        })?;
        let config = match value {
            Value::Object(mut config) => match config.remove("image_processor") {
                // A processor for images and text holds that for images.
                Some(Value::Object(inner)) => inner,
                _ => config,
            },
            _ => Map::new(),
        };
        if !Self::is_hugging_face(&Value::Object(config.clone())) {
            return Err(Error::options(
                "this isn't a preprocessor_config.json of Hugging Face: it has none of do_resize, \
                 do_normalize, image_mean and size; give --resize, --crop, --mean and --std",
            ));
        }
        Config(&config).read()
    }
}

/// A configuration, by its keys.
struct Config<'a>(&'a Map<String, Value>);

impl Config<'_> {
    fn read(&self) -> Result<Preprocess> {
        if let Some((key, what)) = UNSUPPORTED.iter().find(|(key, _)| self.flag(key, false)) {
            return Err(Error::options(format!(
                "the preprocessor has {key} ({what}), which isn't supported; put it into the model, \
                 or give --resize, --crop, --mean and --std for images without it"
            )));
        }
        let (resize, stretch, mut crop) =
            if self.flag("do_resize", true) { self.resized()? } else { (None, None, None) };
        if self.flag("do_center_crop", self.0.contains_key("crop_size") && crop.is_none()) {
            let (height, width) =
                self.sides("crop_size")?.or(self.sides("size")?).ok_or_else(|| {
                    Error::options("the preprocessor crops, but has no crop_size; give --crop")
                })?;
            crop = Some((height, width));
        }
        let (mean, std) = self.normalisation()?;
        let channels = match mean.len() {
            1 => Channels::Grey,
            _ => Channels::Rgb,
        };
        let interpolation = match self.0.get("resample") {
            None => Interpolation::Bilinear,
            Some(_) if resize.is_none() && stretch.is_none() => Interpolation::Bilinear,
            Some(value) => match (value.as_u64(), value.as_str()) {
                (Some(2), _) | (_, Some("bilinear")) => Interpolation::Bilinear,
                (Some(3), _) | (_, Some("bicubic")) => Interpolation::Bicubic,
                _ => {
                    return Err(Error::options(format!(
                        "the preprocessor resamples by {value}; 2 (bilinear) and 3 (bicubic) are \
                         supported. Choose one by giving --resize, --crop, --mean and --std, and \
                         --bicubic, and check the accuracy"
                    )));
                }
            },
        };
        let preprocess = Preprocess { resize, stretch, crop, interpolation, channels, mean, std };
        preprocess.validate()?;
        Ok(preprocess)
    }

    fn flag(&self, key: &str, default: bool) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or(default)
    }

    fn kind(&self) -> &str {
        let keys = ["image_processor_type", "feature_extractor_type"];
        keys.iter().find_map(|key| self.0.get(*key)?.as_str()).unwrap_or_default()
    }

    /// The new length of the shorter side, or height and width whatever the aspect ratio, and the
    /// centre crop that some processors do by `size`.
    #[allow(clippy::type_complexity, reason = "three parts of Preprocess")]
    fn resized(&self) -> Result<(Option<u32>, Option<(u32, u32)>, Option<(u32, u32)>)> {
        let kind = self.kind();
        let is = |name: &str| kind.starts_with(name);
        let shortest = match self.0.get("size") {
            Some(Value::Object(size)) => match size.get("shortest_edge") {
                Some(side) => Some(pixels("size", side)?),
                None => None,
            },
            // Before there were objects, a number meant a square for some and the shorter side for
            // others.
            Some(side @ Value::Number(_)) => {
                let square = ["ViT", "DeiT", "Beit", "BEiT", "Swin", "SegFormer", "Segformer"];
                match square.iter().any(|name| is(name)) {
                    true => None,
                    false => Some(pixels("size", side)?),
                }
            }
            _ => None,
        };
        let crop_pct = self.0.get("crop_pct").and_then(Value::as_f64);
        if let Some(pct) = crop_pct.filter(|pct| !(*pct > 0.0 && *pct <= 1.0)) {
            return Err(Error::options(format!(
                "the preprocessor's crop_pct is {pct}; it must be above 0 and at most 1"
            )));
        }
        let scaled = |side: u32, pct: f64| (f64::from(side) / pct) as u32;
        if let Some(side) = shortest {
            if is("ConvNext") || is("ConvNeXt") {
                // Small images are cropped, large ones are not.
                return Ok(if side < 384 {
                    let pct = crop_pct.unwrap_or(224.0 / 256.0);
                    (Some(scaled(side, pct)), None, Some((side, side)))
                } else {
                    (None, Some((side, side)), Some((side, side)))
                });
            }
            let side = match crop_pct {
                Some(pct) => scaled(side, pct),
                None if is("PoolFormer") && !self.0.contains_key("crop_pct") => scaled(side, 0.9),
                None if is("Levit") => (256.0 / 224.0 * f64::from(side)) as u32,
                None => side,
            };
            return Ok((Some(side), None, None));
        }
        let Some((height, width)) = self.sides("size")? else {
            return Err(Error::options(
                "the preprocessor resizes, but its size has neither shortest_edge nor height and \
                 width; give --resize, --crop, --mean and --std",
            ));
        };
        let crops = self.flag("do_center_crop", self.0.contains_key("crop_size"));
        Ok(match crop_pct {
            Some(pct) if height == width => (Some(scaled(height, pct)), None, None),
            Some(pct) => (None, Some((scaled(height, pct), scaled(width, pct))), None),
            None => (None, Some((height, width)), (!crops).then_some((height, width))),
        })
    }

    /// Height and width of an entry: an object, or a number for a square.
    fn sides(&self, key: &str) -> Result<Option<(u32, u32)>> {
        match self.0.get(key) {
            Some(Value::Object(sides)) => {
                match (sides.get("height"), sides.get("width"), sides.get("shortest_edge")) {
                    (Some(height), Some(width), _) => {
                        Ok(Some((pixels(key, height)?, pixels(key, width)?)))
                    }
                    (_, _, Some(side)) => pixels(key, side).map(|side| Some((side, side))),
                    _ => Ok(None),
                }
            }
            Some(side @ Value::Number(_)) => pixels(key, side).map(|side| Some((side, side))),
            Some(Value::Array(sides)) => match sides.as_slice() {
                [height, width] => Ok(Some((pixels(key, height)?, pixels(key, width)?))),
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// Mean and deviation of values from 0 to 1.
    fn normalisation(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let number =
            |key: &str, default: f64| self.0.get(key).and_then(Value::as_f64).unwrap_or(default);
        // A pixel v in 0..=255 becomes (v factor - offset - mean) / std.
        let factor =
            if self.flag("do_rescale", true) { number("rescale_factor", 1.0 / 255.0) } else { 1.0 };
        if !(factor.is_finite() && factor > 0.0) {
            return Err(Error::options(format!(
                "the preprocessor's rescale_factor is {factor}; it must be above 0"
            )));
        }
        let offset = if self.flag("rescale_offset", false) { 1.0 } else { 0.0 };
        let (mut mean, mut std) = (vec![0.0; 3], vec![1.0; 3]);
        if self.flag("do_normalize", true) {
            mean = self.numbers("image_mean")?;
            std = self.numbers("image_std")?;
            if self.kind().starts_with("EfficientNet") && self.flag("include_top", true) {
                // It divides a second time.
                std.iter_mut().for_each(|std| *std *= *std);
            }
        }
        let scale = 1.0 / (255.0 * factor);
        let scaled = |values: Vec<f64>, add: f64| {
            values.into_iter().map(|value| ((value + add) * scale) as f32).collect()
        };
        Ok((scaled(mean, offset), scaled(std, 0.0)))
    }

    fn numbers(&self, key: &str) -> Result<Vec<f64>> {
        let numbers: Option<Vec<f64>> = match self.0.get(key) {
            Some(Value::Array(values)) => values.iter().map(Value::as_f64).collect(),
            Some(value) => value.as_f64().map(|value| vec![value; 3]),
            None => None,
        };
        numbers.filter(|numbers| matches!(numbers.len(), 1 | 3)).ok_or_else(|| {
            let option = if key == "image_mean" { "--mean" } else { "--std" };
            Error::options(format!(
                "the preprocessor normalises, but its {key} isn't one number or three; give \
                 --resize, --crop, --mean and --std, of them {option} as the model was trained"
            ))
        })
    }
}

fn pixels(key: &str, value: &Value) -> Result<u32> {
    let side = value.as_u64().and_then(|side| u32::try_from(side).ok()).filter(|&side| side > 0);
    side.ok_or_else(|| {
        Error::options(format!("the preprocessor's {key} has {value} where pixels are expected"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Preprocess {
        Preprocess::from_hugging_face(json).unwrap()
    }

    #[test]
    fn a_vit_is_stretched_to_its_size() {
        let found = read(
            r#"{"do_normalize": true, "do_rescale": true, "do_resize": true,
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
            "image_processor_type": "ViTImageProcessor", "resample": 2,
            "rescale_factor": 0.00392156862745098, "size": {"height": 224, "width": 224}}"#,
        );
        assert_eq!(
            (found.resize, found.stretch, found.crop),
            (None, Some((224, 224)), Some((224, 224)))
        );
        assert_eq!((found.mean, found.std), (vec![0.5; 3], vec![0.5; 3]));
        // The same before there were objects.
        let old = read(
            r#"{"feature_extractor_type": "ViTFeatureExtractor", "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5], "resample": 2, "size": 224}"#,
        );
        assert_eq!(old.stretch, Some((224, 224)));
    }

    #[test]
    fn the_shorter_side_and_a_crop_are_read() {
        let found = read(
            r#"{"crop_size": {"height": 224, "width": 200}, "do_center_crop": true,
            "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
            "image_processor_type": "MobileNetV2ImageProcessor", "resample": 3,
            "size": {"shortest_edge": 256}}"#,
        );
        assert_eq!((found.resize, found.crop), (Some(256), Some((224, 200))));
        assert_eq!(found.interpolation, Interpolation::Bicubic);
        assert_eq!(found.mean, [0.485, 0.456, 0.406]);
        // 256 x 256 whatever the aspect ratio, then a crop.
        let deit = read(
            r#"{"crop_size": {"height": 224, "width": 224}, "do_center_crop": true,
            "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
            "image_processor_type": "DeiTImageProcessor", "size": {"height": 256, "width": 256}}"#,
        );
        assert_eq!((deit.stretch, deit.crop), (Some((256, 256)), Some((224, 224))));
    }

    #[test]
    fn crop_pct_enlarges_before_the_crop() {
        let of = |size: u32| {
            read(&format!(
                r#"{{"crop_pct": 0.875, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
                "image_processor_type": "ConvNextImageProcessor",
                "size": {{"shortest_edge": {size}}}}}"#
            ))
        };
        assert_eq!((of(224).resize, of(224).crop), (Some(256), Some((224, 224))));
        assert_eq!((of(384).resize, of(384).stretch), (None, Some((384, 384))));
    }

    #[test]
    fn what_is_done_to_values_is_folded_into_mean_and_deviation() {
        let found = read(
            r#"{"do_rescale": false, "do_normalize": true, "image_mean": [127.5], "image_std": [255],
            "size": {"height": 28, "width": 28}}"#,
        );
        assert_eq!(found.channels, Channels::Grey);
        assert_eq!((found.mean, found.std), (vec![0.5], vec![1.0]));
        let found = read(r#"{"do_normalize": false, "do_resize": false}"#);
        assert_eq!((found.mean, found.std, found.crop), (vec![0.0; 3], vec![1.0; 3], None));
        let found = read(
            r#"{"do_normalize": false, "do_resize": false, "rescale_factor": 0.00784313725490196,
            "rescale_offset": true}"#,
        );
        assert_eq!((found.mean, found.std), (vec![0.5; 3], vec![0.5; 3]));
    }

    #[test]
    fn what_has_no_counterpart_is_refused_with_the_options_that_help() {
        for json in [
            "no JSON",
            "[1]",
            r#"{"resize": 224, "mean": [0], "std": [1]}"#,
            r#"{"do_resize": true, "image_mean": [0.5], "image_std": [0.5]}"#,
            r#"{"size": {"height": 0, "width": 8}, "image_mean": [0.5], "image_std": [0.5]}"#,
            r#"{"size": {"longest_edge": 800}, "image_mean": [0.5], "image_std": [0.5]}"#,
            r#"{"size": 8, "image_mean": [0.5, 0.5], "image_std": [0.5]}"#,
            r#"{"size": 8, "image_mean": [0.5], "image_std": [0.0]}"#,
            r#"{"size": 8, "image_mean": [0.5], "image_std": [0.5], "resample": 0}"#,
            r#"{"size": 8, "image_mean": [0.5], "image_std": [0.5], "crop_pct": 0}"#,
            r#"{"size": 8, "do_normalize": false, "rescale_factor": 0}"#,
            r#"{"size": 8, "do_normalize": false, "do_flip_channel_order": true}"#,
        ] {
            let error = Preprocess::from_hugging_face(json).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Options, "{json}");
        }
        let error = Preprocess::from_hugging_face(r#"{"do_resize": true}"#).unwrap_err();
        assert!(error.message().contains("--resize"), "{error}");
    }
}
