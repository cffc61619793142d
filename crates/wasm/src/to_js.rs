//! Results as plain JavaScript objects, in the one form in which the library serialises them.
//!
//! As serde-wasm-bindgen makes them, but for arrays: the library hands them on as newtypes that are
//! named after their element (`itp_ood::wire`), which become typed arrays here.

use js_sys::{Array, Float32Array, Object, Reflect, Uint8Array};
use serde::Serialize;
use serde::ser::{self, Impossible};
use serde_wasm_bindgen::Error;
use wasm_bindgen::prelude::*;

type Result<T = JsValue> = std::result::Result<T, Error>;

/// A value as JavaScript gets it.
pub fn to_js(value: &(impl Serialize + ?Sized)) -> std::result::Result<JsValue, JsValue> {
    value.serialize(JsSerializer).map_err(JsValue::from)
}

/// The error as JavaScript gets it.
pub fn to_js_error(error: itp_ood::Error) -> JsValue {
    #[derive(Serialize)]
    struct PlainError<'a> {
        code: &'static str,
        message: &'a str,
    }
    let plain = PlainError { code: error.kind().code(), message: error.message() };
    to_js(&plain).unwrap_or_else(|_| JsValue::from_str(error.message()))
}

/// Numbers, texts and bytes.
const SCALARS: serde_wasm_bindgen::Serializer = serde_wasm_bindgen::Serializer::new();

#[derive(Clone, Copy)]
struct JsSerializer;

macro_rules! scalars {
    ($($method:ident: $type:ty),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result {
            SCALARS.$method(value)
        })*
    };
}

impl ser::Serializer for JsSerializer {
    type Ok = JsValue;
    type Error = Error;
    type SerializeSeq = JsArray;
    type SerializeTuple = JsArray;
    type SerializeTupleStruct = JsArray;
    type SerializeTupleVariant = Impossible<JsValue, Error>;
    type SerializeMap = JsObject;
    type SerializeStruct = JsObject;
    type SerializeStructVariant = Impossible<JsValue, Error>;

    scalars! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
        serialize_str: &str,
        serialize_bytes: &[u8],
        serialize_unit_struct: &'static str,
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_none(self) -> Result {
        SCALARS.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        SCALARS.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result {
        SCALARS.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result {
        let value = value.serialize(self)?;
        Ok(match name {
            "f32" => Float32Array::new(&Uint8Array::from(value).buffer()).into(),
            _ => value,
        })
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        let mut object = JsObject::default();
        object.set(&JsValue::from_str(variant), value)?;
        Ok(object.object.into())
    }

    fn serialize_seq(self, _len: Option<usize>) -> Result<JsArray> {
        Ok(JsArray(Array::new()))
    }

    fn serialize_tuple(self, _len: usize) -> Result<JsArray> {
        Ok(JsArray(Array::new()))
    }

    fn serialize_tuple_struct(self, _name: &'static str, _len: usize) -> Result<JsArray> {
        Ok(JsArray(Array::new()))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeTupleVariant> {
        Err(ser::Error::custom(format!("the variant {variant} has no JavaScript form")))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<JsObject> {
        Ok(JsObject::default())
    }

    fn serialize_struct(self, _name: &'static str, _len: usize) -> Result<JsObject> {
        Ok(JsObject::default())
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _len: usize,
    ) -> Result<Self::SerializeStructVariant> {
        Err(ser::Error::custom(format!("the variant {variant} has no JavaScript form")))
    }
}

/// An array in the making.
struct JsArray(Array);

macro_rules! array_is {
    ($trait:ident, $method:ident) => {
        impl ser::$trait for JsArray {
            type Ok = JsValue;
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                self.0.push(&value.serialize(JsSerializer)?);
                Ok(())
            }

            fn end(self) -> Result {
                Ok(self.0.into())
            }
        }
    };
}

array_is!(SerializeSeq, serialize_element);
array_is!(SerializeTuple, serialize_element);
array_is!(SerializeTupleStruct, serialize_field);

/// An object in the making.
#[derive(Default)]
struct JsObject {
    object: Object,
    key: JsValue,
}

impl JsObject {
    fn set(&mut self, key: &JsValue, value: &(impl Serialize + ?Sized)) -> Result<()> {
        Reflect::set(&self.object, key, &value.serialize(JsSerializer)?)?;
        Ok(())
    }
}

impl ser::SerializeStruct for JsObject {
    type Ok = JsValue;
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<()> {
        self.set(&JsValue::from_str(key), value)
    }

    fn end(self) -> Result {
        Ok(self.object.into())
    }
}

impl ser::SerializeMap for JsObject {
    type Ok = JsValue;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        self.key = key.serialize(JsSerializer)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let key = std::mem::take(&mut self.key);
        self.set(&key, value)
    }

    fn end(self) -> Result {
        Ok(self.object.into())
    }
}
