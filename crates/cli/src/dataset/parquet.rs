//! Images in Parquet files, in the layout of Hugging Face datasets: a column that is a struct with
//! the image file's `bytes` (or plainly those bytes), and one with its class.

use std::fs::File;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use itp_ood::{Error, Result};
use parquet::basic::Type as PhysicalType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::{Type, TypePtr};
use serde_json::Value;

use super::listing::Place;
use super::{Entry, classes};

/// Rows that the reader decodes ahead.
const ROWS_AHEAD: usize = 16;

/// Columns that may hold the class, the likeliest first; else the only one that the metadata calls a
/// class is taken.
const CLASS_COLUMNS: [&str; 5] = ["label", "labels", "class", "target", "fine_label"];

/// All images, one after the other in a file without a name, with classes and places.
///
/// A Parquet file can only be read from front to back, and images are needed in any order.
pub(super) fn read(file: File) -> Result<(File, Vec<String>, Vec<Entry>)> {
    // The reader is written for files that it can trust more than we can.
    catch_unwind(AssertUnwindSafe(|| spool(file)))
        .unwrap_or_else(|_| Err(Error::data("the Parquet file is damaged")))
}

fn spool(file: File) -> Result<(File, Vec<String>, Vec<Entry>)> {
    let damaged = |e: ParquetError| {
        Error::data(format!("the Parquet file cannot be read: {e}")).with_source(e)
    };
    let reader = SerializedFileReader::new(file).map_err(damaged)?;
    let metadata = reader.metadata().file_metadata();
    let fields = metadata.schema().get_fields();
    let image = fields.iter().find(|field| is_image(field)).ok_or_else(|| {
        let names: Vec<&str> = fields.iter().map(|field| field.name()).collect();
        Error::data(format!(
            "no column holds images as a struct with \"bytes\"; the columns are {}",
            names.join(", ")
        ))
    })?;
    let features = metadata
        .key_value_metadata()
        .and_then(|pairs| pairs.iter().find(|pair| pair.key == "huggingface"))
        .and_then(|pair| serde_json::from_str::<Value>(pair.value.as_deref()?).ok())
        .map(|mut info| info["info"]["features"].take())
        .unwrap_or_default();
    let class = class_column(fields, &features);
    let class_names = class.map(|class| names_of(&features[class.name()])).unwrap_or_default();

    let columns: Vec<TypePtr> = [Some(image), class].into_iter().flatten().cloned().collect();
    let schema = Type::group_type_builder(metadata.schema().name())
        .with_fields(columns)
        .build()
        .map_err(damaged)?;
    let spooling = |e: std::io::Error| Error::io("no temporary file for the images").with_source(e);
    let mut spool = std::io::BufWriter::new(tempfile::tempfile().map_err(spooling)?);
    let (mut entries, mut labels) = (Vec::new(), Vec::new());
    let mut offset = 0;
    let rows = RowIter::from_file(Some(schema), &reader).map_err(damaged)?;
    for (at, row) in rows.with_batch_size(ROWS_AHEAD).enumerate() {
        let (mut bytes, mut label) = (Vec::new(), None);
        let mut name = format!("row {at}");
        for (column, field) in row.map_err(damaged)?.into_columns() {
            match field {
                Field::Group(parts) => {
                    let (path, data) = image_parts(parts);
                    bytes = data;
                    // Paths need not be unique.
                    name = path.map_or(name, |path| format!("{at:06}/{path}"));
                }
                Field::Bytes(data) if column == image.name() => bytes = data.data().to_vec(),
                Field::Str(text) => label = Some(text),
                other => {
                    label = index_of(&other).map(|index| {
                        let name = usize::try_from(index).ok().and_then(|i| class_names.get(i));
                        name.cloned().unwrap_or_else(|| index.to_string())
                    })
                }
            }
        }
        spool.write_all(&bytes).map_err(spooling)?;
        let len = bytes.len() as u64;
        entries.push(Entry { name, class: None, bytes: len, place: Place::Offset(offset) });
        labels.push(label);
        offset += len;
    }
    if entries.is_empty() {
        return Err(Error::data("the Parquet file has no rows"));
    }
    // -1 stands for an unknown class, in the test sets of competitions.
    let known = labels.iter().flatten().filter(|&label| label != "-1").count();
    if known != 0 && known != labels.len() {
        return Err(Error::data("some rows have a class, and others have none"));
    }
    let labels: Vec<Option<&str>> =
        labels.iter().map(|label| label.as_deref().filter(|_| known != 0)).collect();
    let (names, indices) = classes::index(&labels);
    for (entry, class) in entries.iter_mut().zip(indices) {
        entry.class = class;
    }
    let file = spool.into_inner().map_err(|e| spooling(e.into_error()))?;
    Ok((file, names, entries))
}

/// A struct with the bytes of an image file, or a column of them that is called an image.
fn is_image(field: &TypePtr) -> bool {
    let is_binary = |field: &Type| {
        field.is_primitive() && field.get_physical_type() == PhysicalType::BYTE_ARRAY
    };
    if field.is_group() {
        return field.get_fields().iter().any(|part| part.name() == "bytes" && is_binary(part));
    }
    is_binary(field) && matches!(field.name(), "image" | "img")
}

/// The column with the class.
fn class_column<'a>(fields: &'a [TypePtr], features: &Value) -> Option<&'a TypePtr> {
    let primitive = || fields.iter().filter(|field| field.is_primitive());
    let known = CLASS_COLUMNS.iter().find_map(|name| primitive().find(|f| f.name() == *name));
    known.or_else(|| {
        let mut called = primitive().filter(|f| !names_of(&features[f.name()]).is_empty());
        called.next().filter(|_| called.next().is_none())
    })
}

/// The names of a `ClassLabel`'s classes.
fn names_of(feature: &Value) -> Vec<String> {
    let names = feature["names"].as_array().map_or(&[][..], Vec::as_slice);
    names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Path and bytes of an image struct.
fn image_parts(parts: Row) -> (Option<String>, Vec<u8>) {
    let (mut path, mut bytes) = (None, Vec::new());
    for (name, field) in parts.into_columns() {
        match (name.as_str(), field) {
            ("bytes", Field::Bytes(data)) => bytes = data.data().to_vec(),
            ("path", Field::Str(text)) if !text.is_empty() => path = Some(text),
            _ => {}
        }
    }
    (path, bytes)
}

fn index_of(field: &Field) -> Option<i64> {
    match *field {
        Field::Byte(v) => Some(v.into()),
        Field::Short(v) => Some(v.into()),
        Field::Int(v) => Some(v.into()),
        Field::Long(v) => Some(v),
        Field::UByte(v) => Some(v.into()),
        Field::UShort(v) => Some(v.into()),
        Field::UInt(v) => Some(v.into()),
        Field::ULong(v) => i64::try_from(v).ok(),
        Field::Bool(v) => Some(v.into()),
        _ => None,
    }
}
