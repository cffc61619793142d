//! The models that are damaged.

use std::path::PathBuf;

/// The largest seed; larger ones would make a run slow and its mutants uninteresting.
const MAX_BYTES: u64 = 300_000;

/// All ONNX files in folders, and the models in files of operator cases (tests/operators).
pub fn read(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let mut files = Vec::new();
    for path in paths {
        if let Ok(entries) = std::fs::read_dir(path) {
            files.extend(entries.flatten().map(|entry| entry.path()));
        } else if path.is_file() {
            files.push(path.clone());
        }
    }
    files.sort();
    let mut seeds = Vec::new();
    for file in files {
        let failed = |error| format!("{}: {error}", file.display());
        let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or("");
        let length = file.metadata().map_err(failed)?.len();
        match extension {
            "onnx" if length <= MAX_BYTES => seeds.push(std::fs::read(&file).map_err(failed)?),
            "bin" => seeds.extend(operator_cases(&std::fs::read(&file).map_err(failed)?)),
            _ => (),
        }
    }
    if seeds.is_empty() {
        return Err(format!("no ONNX files in {paths:?}"));
    }
    Ok(seeds)
}

/// The models in a file of operator cases; its header comment says how it is laid out.
fn operator_cases(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(taken)
    }
    let mut next = || -> Option<Vec<u8>> {
        let name = take(&mut bytes, 2)?;
        take(&mut bytes, u16::from_le_bytes(name.try_into().ok()?).into())?;
        let length = u32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?);
        let model = take(&mut bytes, length as usize)?.to_vec();
        let count = u32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?);
        take(&mut bytes, 4 * count as usize)?;
        Some(model)
    };
    std::iter::from_fn(&mut next).collect()
}
