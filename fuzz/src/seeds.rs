//! The files that are damaged.

use std::path::PathBuf;

/// The largest seed; larger ones would make a run slow and its mutants uninteresting.
const MAX_BYTES: u64 = 300_000;

/// The repository's own models.
const MODELS: [&str; 5] = [
    "tests/models",
    "tests/models/heads",
    "tests/zoo/models",
    "tests/operators/cases.bin",
    "tests/faults/onnx",
];

fn in_repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The files in folders, and other files, sorted.
fn listed(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in paths {
        if let Ok(entries) = std::fs::read_dir(path) {
            files.extend(entries.flatten().map(|entry| entry.path()));
        } else if path.is_file() {
            files.push(path.clone());
        }
    }
    files.sort();
    files
}

/// The files themselves.
pub fn files(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let seeds: Vec<_> = listed(paths)
        .iter()
        .filter(|path| path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= MAX_BYTES))
        .map(read)
        .collect::<Result<_, _>>()?;
    if seeds.is_empty() { Err(format!("no files in {paths:?}")) } else { Ok(seeds) }
}

/// Files of the repository with an ending.
pub fn of_extension(folder: &str, ending: &str) -> Result<Vec<Vec<u8>>, String> {
    let mut paths = listed(&[in_repository(folder)]);
    paths.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    files(&paths)
}

/// The repository's own images.
pub fn images() -> Result<Vec<Vec<u8>>, String> {
    let endings = ["png", "jpg", "gif", "webp", "bmp", "tif", "tiff", "ppm"];
    let mut paths = listed(&["tests/images", "tests/faults/files"].map(in_repository));
    paths.retain(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| endings.contains(&extension))
    });
    files(&paths)
}

/// All ONNX files in folders, and the models in files of operator cases (tests/operators); the
/// repository's own if no path is given.
pub fn models(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, String> {
    let own = MODELS.map(in_repository);
    let paths = if paths.is_empty() { &own[..] } else { paths };
    let files = listed(paths);
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
