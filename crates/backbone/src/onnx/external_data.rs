//! Weights that lie in files beside the model.

use std::collections::HashMap;

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataLocation;

use crate::error::{Error, Result};
use crate::options::ExternalData;

/// Whether a tensor's values are in another file.
pub(super) fn is_elsewhere(tensor: &pb::TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32) || !tensor.external_data.is_empty()
}

/// Whether a name can only be that of a file in the model's folder, or in one inside it.
fn is_beside(file: &str) -> bool {
    let is_plain = |part: &str| !part.is_empty() && part != ".." && !part.contains([':', '\0']);
    file.split(['/', '\\']).all(is_plain)
}

/// Copies such values into the graph's stored tensors, at most `memory` bytes.
pub(super) fn read(
    graph: &mut pb::GraphProto,
    lookup: Option<ExternalData>,
    memory: usize,
) -> Result<()> {
    let mut left = memory;
    let mut files: HashMap<String, Vec<u8>> = HashMap::new();
    for tensor in graph.initializer.iter_mut().filter(|tensor| is_elsewhere(tensor)) {
        let entry = |key: &str| {
            tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| &*entry.value)
        };
        let file = entry("location").unwrap_or_default().to_owned();
        if !is_beside(&file) {
            return Err(Error::model(format!(
                "the weights `{}` are in the file `{file}`, which isn't beside the model",
                tensor.name
            )));
        }
        if !files.contains_key(&file) {
            let bytes = lookup.and_then(|lookup| lookup(&file)).ok_or_else(|| {
                Error::model(format!(
                    "the weights `{}` are in a second file, `{file}`; put it beside the model (in \
                     JavaScript: give it as `externalData`), or save the model as one file, in \
                     Python: onnx.save(onnx.load(\"model.onnx\"), \"single.onnx\")",
                    tensor.name
                ))
            })?;
            files.insert(file.clone(), bytes);
        }
        let bytes = &files[&file];
        let number = |key: &str| entry(key).map(|value| value.trim().parse::<usize>());
        let range = match (number("offset").unwrap_or(Ok(0)), number("length")) {
            (Ok(start), None) => bytes.get(start..),
            (Ok(start), Some(Ok(length))) => {
                start.checked_add(length).and_then(|end| bytes.get(start..end))
            }
            _ => None,
        };
        let values = range.ok_or_else(|| {
            Error::model(format!(
                "the file `{file}` has {} bytes and lacks the weights `{}`; it belongs to another \
                 model or was cut off",
                bytes.len(),
                tensor.name
            ))
        })?;
        left = left.checked_sub(values.len()).ok_or_else(|| {
            Error::model(format!(
                "the model's weights in other files take more than the limit of {} MiB; use a \
                 smaller model, or raise the limit",
                memory >> 20
            ))
        })?;
        tensor.raw_data = values.to_vec();
        tensor.data_location = None;
        tensor.external_data.clear();
    }
    Ok(())
}
