//! Image collections for the command line: where the images lie, what class each one has, and
//! decoding them. Only the index is kept in memory, never an image.
//!
//! [`Dataset::open`] takes
//! - a folder with a folder for each class (`bird/1.png`, `cat/2.png`; deeper folders belong to
//!   their class, as in torchvision's `ImageFolder`), or with images only, which then have no class;
//! - a `.tar` file of the same. Folders that everything lies in are skipped, in folders and in
//!   archives, but for the last one;
//! - a list: a text file with an image's path in each line, followed by a tab and its class (or,
//!   without a tab, by a space and its class) if it has one. The class is a name or a number
//!   counting the model's classes from 0. Paths are relative to the list; `#` starts a comment;
//! - a single image.
//!
//! Entries come sorted by path (a list's in its own order), so that everything computed from them
//! is reproducible.

mod decode;
mod list;
mod walk;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use itp_ood::{Error, Result};

pub use decode::decode;

/// A larger file is no image that could be used.
const MAX_FILE_BYTES: u64 = 1 << 30;

const EXTENSIONS: [&str; 8] = ["bmp", "gif", "jpeg", "jpg", "png", "tif", "tiff", "webp"];

/// One image of a [`Dataset`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path inside the folder or archive, or as the list has it.
    pub name: String,
    /// Index into [`Dataset::classes`]; `None` if it has no class.
    pub class: Option<usize>,
    /// Length of its file in bytes.
    pub bytes: u64,
    /// Where it begins in the archive.
    offset: u64,
}

/// Images with their classes; see the [module](self).
#[derive(Debug)]
pub struct Dataset {
    name: String,
    classes: Vec<String>,
    entries: Vec<Entry>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Files below a folder.
    Folder(PathBuf),
    Archive(PathBuf, Mutex<File>),
}

impl Dataset {
    /// Indexes a folder, an archive, a list or a single image.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if something can't be read;
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if there are no images, if some images have a
    /// class and others don't, or if a list or an archive is malformed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let place = |error: Error| error.context(path.display());
        let meta = std::fs::metadata(path)
            .map_err(|e| place(Error::io("cannot be read").with_source(e)))?;
        let mut set = if meta.is_dir() {
            let files = walk::folder(path).map_err(place)?;
            Self::of_files(files, Source::Folder(path.to_owned()))
        } else if has_extension(path, &["tar"]) {
            let mut file = File::open(path)
                .map_err(|e| place(Error::io("cannot be opened").with_source(e)))?;
            let files = walk::archive(&mut file).map_err(place)?;
            Self::of_files(files, Source::Archive(path.to_owned(), Mutex::new(file)))
        } else if has_extension(path, &["gz", "tgz", "zip", "zst", "xz", "bz2"]) {
            Err(Error::data("compressed archives are not read; unpack it, or make it a plain .tar"))
        } else {
            let folder = path.parent().unwrap_or(Path::new("")).to_owned();
            let source = Source::Folder(folder.clone());
            if has_extension(path, &EXTENSIONS) {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let entries = vec![Entry { name, class: None, bytes: meta.len(), offset: 0 }];
                Ok(Self { name: String::new(), classes: Vec::new(), entries, source })
            } else {
                list::read(path, &folder).map(|(classes, entries)| Self {
                    name: String::new(),
                    classes,
                    entries,
                    source,
                })
            }
        }
        .map_err(place)?;
        set.name = path
            .canonicalize()
            .unwrap_or_else(|_| path.to_owned())
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Ok(set)
    }

    /// Single images without classes, in the given order. A file that is missing is found out when
    /// it is read.
    pub fn files(paths: &[PathBuf]) -> Self {
        let entries = paths.iter().map(|path| Entry {
            name: path.display().to_string(),
            class: None,
            bytes: std::fs::metadata(path).map_or(0, |meta| meta.len()),
            offset: 0,
        });
        Self {
            name: "files".to_owned(),
            classes: Vec::new(),
            entries: entries.collect(),
            source: Source::Folder(PathBuf::new()),
        }
    }

    fn of_files(files: Vec<walk::Found>, source: Source) -> Result<Self> {
        let (classes, entries) = walk::classify(files)?;
        Ok(Self { name: String::new(), classes, entries, source })
    }

    /// The name of the folder or file, without its extension.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names of the classes, sorted; empty if the images have none.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The images, sorted by path.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Keeps the first `limit` images of each class.
    pub fn limit_per_class(&mut self, limit: usize) {
        let mut seen = vec![0; self.classes.len() + 1];
        let unlabelled = self.classes.len();
        self.entries.retain(|entry| {
            let count = &mut seen[entry.class.unwrap_or(unlabelled)];
            *count += 1;
            *count <= limit
        });
    }

    /// SHA-256 over the paths, lengths and classes of all images, in hexadecimal: two collections
    /// with the same fingerprint hold the same images, unless files were changed in place.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for entry in &self.entries {
            let class = entry.class.map_or("", |class| &self.classes[class]);
            hash.update(format!("{}\0{class}\0{}\n", entry.name, entry.bytes));
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The bytes of an image's file.
    ///
    /// # Errors
    /// [`ErrorKind::Image`](crate::ErrorKind::Image) if they can't be read.
    pub fn read(&self, entry: &Entry) -> Result<Vec<u8>> {
        if entry.bytes > MAX_FILE_BYTES {
            return Err(Error::image(format!(
                "the file has {} bytes, more than the limit of {MAX_FILE_BYTES}",
                entry.bytes
            )));
        }
        match &self.source {
            Source::Folder(folder) => std::fs::read(folder.join(&entry.name)),
            Source::Archive(_, file) => {
                let mut bytes = vec![0; entry.bytes as usize];
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(entry.offset))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map(|()| bytes)
            }
        }
        .map_err(|e| Error::image(format!("the file cannot be read: {e}")).with_source(e))
    }

    /// Where an image lies, for messages.
    pub fn path_of(&self, entry: &Entry) -> String {
        match &self.source {
            Source::Folder(folder) => folder.join(&entry.name).display().to_string(),
            Source::Archive(path, _) => format!("{}:{}", path.display(), entry.name),
        }
    }
}

/// Whether a path ends like an image file.
pub fn is_image_path(path: &Path) -> bool {
    has_extension(path, &EXTENSIONS)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|e| extensions.iter().any(|known| e.eq_ignore_ascii_case(known)))
}
