//! What leaves the program: exit codes, messages, JSON, files.

use std::error::Error as _;
use std::io::{Cursor, Write};
use std::path::Path;

use image::{ColorType, ImageFormat};
use itp_ood::{Error, ErrorKind, Pixels, Result, Stats};
use serde::Serialize;
use tempfile::NamedTempFile;

pub const EXIT_CODES: &str = "\
Exit codes:
    0  done (broken images are named and left out, unless --strict is given)
    2  arguments that make no sense
    3  model: not readable, or without logits
    4  stats: the stats file is damaged
    5  mismatch: model, stats file or preprocessing don't belong together
    6  image: an image is broken (only with --strict)
    7  features: NaN, infinite or of the wrong length
    8  options: a setting is out of its range or unknown
    9  data: no images, unknown classes, too few images of a class
   10  io: a file can't be read or written
  130  stopped by Ctrl-C; no file was written";

/// The program's exit code for an error; [`EXIT_CODES`] documents them.
pub fn exit_code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Model => 3,
        ErrorKind::Stats => 4,
        ErrorKind::Mismatch => 5,
        ErrorKind::Image => 6,
        ErrorKind::Features => 7,
        ErrorKind::Options => 8,
        ErrorKind::Data => 9,
        ErrorKind::Cancelled => 130,
        // Io, and kinds that a later version adds.
        _ => 10,
    }
}

/// Prints an error with its causes.
pub fn report(error: &Error) {
    eprintln!("itp: {}: {error}", error.kind().code());
    let mut cause = error.source();
    while let Some(inner) = cause {
        eprintln!("  because: {inner}");
        cause = inner.source();
    }
}

pub use crate::file::read;

/// Reads a stats file.
///
/// # Errors
/// `Io` if it can't be read, and as [`Stats::from_bytes`].
pub fn read_stats(path: &Path) -> Result<Stats> {
    Stats::from_bytes(&read(path)?).map_err(|error| error.context(path.display()))
}

/// Writes a file in one step: it is complete or, after Ctrl-C or on a full disk, not there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = begin(path)?;
    file.write_all(bytes).map_err(|e| unwritable(path, e))?;
    finish(file, path)
}

/// Begins a file that [`finish`] puts in its place; dropped before, it leaves nothing.
pub fn begin(path: &Path) -> Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    NamedTempFile::new_in(folder).map_err(|e| unwritable(path, e))
}

pub fn finish(file: NamedTempFile, path: &Path) -> Result<()> {
    set_usual_mode(&file).map_err(|e| unwritable(path, e))?;
    crate::progress::check()?;
    file.persist(path).map_err(|e| unwritable(path, e.error))?;
    Ok(())
}

pub fn unwritable(path: &Path, error: std::io::Error) -> Error {
    Error::io(format!("{} cannot be written: {error}", path.display())).with_source(error)
}

/// Temporary files are private; the finished one is as readable as any other.
#[cfg(unix)]
fn set_usual_mode(file: &NamedTempFile) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_usual_mode(_: &NamedTempFile) -> std::io::Result<()> {
    Ok(())
}

/// Prints a line to standard output.
///
/// A closed pipe (`itp score ... | head`) ends the program quietly.
pub fn line(text: impl std::fmt::Display) -> Result<()> {
    bytes(format!("{text}\n").as_bytes())
}

/// Prints bytes to standard output, as [`line`] does.
pub fn bytes(bytes: &[u8]) -> Result<()> {
    match std::io::stdout().lock().write_all(bytes) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(e) => Err(Error::io("standard output cannot be written").with_source(e)),
    }
}

/// JSON on a line of its own.
pub fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value)
        .map_err(|e| Error::io("the result cannot be written as JSON").with_source(e))
}

/// The image as a PNG file.
pub fn png(pixels: &Pixels) -> Result<Vec<u8>> {
    let colour = if pixels.channels == 1 { ColorType::L8 } else { ColorType::Rgb8 };
    let mut bytes = Cursor::new(Vec::new());
    image::write_buffer_with_format(
        &mut bytes,
        &pixels.data,
        pixels.width,
        pixels.height,
        colour,
        ImageFormat::Png,
    )
    .map_err(|e| Error::io("the image can't be written as PNG").with_source(e))?;
    Ok(bytes.into_inner())
}
