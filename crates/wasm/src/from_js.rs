//! What JavaScript hands in.

use itp_ood::{Error, ImageView, PixelFormat, Pixels};
use js_sys::{Object, Reflect, Uint8Array};
use serde::de::DeserializeOwned;
use wasm_bindgen::prelude::*;

use crate::to_js::to_js_error;

/// Reads a small object; `undefined` and `null` stand for an empty one.
pub fn from_js<T: DeserializeOwned>(value: JsValue) -> Result<T, JsValue> {
    let value = if is_missing(&value) { Object::new().into() } else { value };
    serde_wasm_bindgen::from_value(value)
        .map_err(|error| to_js_error(Error::options(format!("the options can't be read: {error}"))))
}

/// Whether a value is `undefined` or `null`.
pub fn is_missing(value: &JsValue) -> bool {
    value.is_undefined() || value.is_null()
}

/// Looks at bytes as an image.
pub fn image_view(
    data: &[u8],
    width: u32,
    height: u32,
    channels: u32,
) -> Result<ImageView<'_>, JsValue> {
    let format = PixelFormat::of_channels(channels as usize);
    format.and_then(|format| ImageView::new(data, width, height, format)).map_err(to_js_error)
}

/// An image `{ data, width, height, channels }`.
pub fn pixels(image: &JsValue) -> Result<Pixels, JsValue> {
    let get = |name: &str| Reflect::get(image, &JsValue::from_str(name));
    let number = |name: &str| Ok::<_, JsValue>(get(name)?.as_f64().unwrap_or(0.0) as u32);
    let data = Uint8Array::new(&get("data")?).to_vec();
    let (width, height, channels) = (number("width")?, number("height")?, number("channels")?);
    let image = Pixels { data, width, height, channels: channels as usize };
    image.view().map_err(to_js_error)?;
    Ok(image)
}
