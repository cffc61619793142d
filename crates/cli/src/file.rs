//! Reading whole files: never from devices and pipes, and text in the encodings that tables come in.

use std::fs::Metadata;
use std::path::Path;

use itp_ood::{Error, Result};

/// Refuses what is no regular file: a device or a pipe may never end.
///
/// # Errors
/// [`ErrorKind::Io`](itp_ood::ErrorKind::Io), without the path.
pub fn check_regular(meta: &Metadata) -> Result<()> {
    if meta.is_dir() {
        return Err(Error::io("this is a folder, not a file"));
    }
    if !meta.is_file() {
        return Err(Error::io(
            "this is a device or a pipe, not a regular file; write its contents to a file first",
        ));
    }
    Ok(())
}

/// Reads a whole regular file.
///
/// # Errors
/// [`ErrorKind::Io`](itp_ood::ErrorKind::Io), naming the path.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let meta = std::fs::metadata(path).map_err(|e| unreadable(path, e))?;
    check_regular(&meta).map_err(|error| error.context(path.display()))?;
    std::fs::read(path).map_err(|e| unreadable(path, e))
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::io(format!("{} cannot be read: {error}", path.display())).with_source(error)
}

/// Text in UTF-8, with or without a byte order mark, or in UTF-16 with one, as spreadsheets write it.
///
/// # Errors
/// [`ErrorKind::Data`](itp_ood::ErrorKind::Data) for any other encoding.
pub fn text(bytes: &[u8]) -> Result<String> {
    let wide = |unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].as_chunks().0.iter().map(|&pair| unit(pair)).collect();
        String::from_utf16(&units)
            .map_err(|e| Error::data("this is no valid text in UTF-16").with_source(e))
    };
    match bytes {
        [0xFF, 0xFE, ..] => wide(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => wide(u16::from_be_bytes),
        _ => {
            let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
            let text = std::str::from_utf8(bytes).map_err(|e| {
                let line = bytes[..e.valid_up_to()].split(|&byte| byte == b'\n').count();
                Error::data(format!("line {line} is no text in UTF-8; save the file as UTF-8"))
                    .with_source(e)
            })?;
            Ok(text.to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_in_utf_8_and_utf_16() {
        let utf16: Vec<u8> = "ä\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "ä\r\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(text("ä\r\n".as_bytes()).unwrap(), "ä\r\n");
        assert_eq!(text(b"\xEF\xBB\xBFa").unwrap(), "a");
        assert_eq!(text(&[b"\xFF\xFE", &utf16[..]].concat()).unwrap(), "ä\r\n");
        assert_eq!(text(&[b"\xFE\xFF", &big[..]].concat()).unwrap(), "ä\r\n");
        assert!(text(b"a\nb\ncaf\xE9").unwrap_err().message().contains("line 3"));
    }

    #[cfg(unix)]
    #[test]
    fn devices_are_refused_at_once() {
        let error = read(Path::new("/dev/zero")).unwrap_err();
        assert!(error.message().starts_with("/dev/zero: this is a device"), "{error}");
    }
}
