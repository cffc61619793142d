//! Image collections for the command line: where the images lie, what class each one has, and
//! decoding them. Only the index is kept in memory, never an image.
//!
//! [`Dataset::open`] takes a folder, a `.tar` or `.zip` archive, a Parquet file, a list or a single
//! image. docs/datasets.md has the rules; the browser page follows the same ones, and both are
//! tested with tests/datasets.json.
//!
//! Entries come sorted by path (those of lists and Parquet files in their own order), so that
//! everything computed from them is reproducible.

mod archive;
mod classes;
mod decode;
mod folder;
mod list;
mod listing;
mod parquet;

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use zip::ZipArchive;

use crate::file;
use itp_ood::calibration::Shard;
use itp_ood::{Error, Result};

pub use decode::decode;
pub use listing::Skipped;
use listing::{Listing, Place};

/// A larger file is no image that could be used.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Endings of the files that are read as images.
pub const EXTENSIONS: [&str; 15] = [
    "apng", "bmp", "gif", "jfif", "jpe", "jpeg", "jpg", "pbm", "pgm", "png", "pnm", "ppm", "tif",
    "tiff", "webp",
];

/// One image of a [`Dataset`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path inside the folder or archive, or as the list has it.
    pub name: String,
    /// Index into [`Dataset::classes`]; `None` if it has no class.
    pub class: Option<usize>,
    /// Length of its file in bytes.
    pub bytes: u64,
    place: Place,
}

/// Images with their classes; see the [module](self).
#[derive(Debug)]
pub struct Dataset {
    name: String,
    classes: Vec<String>,
    entries: Vec<Entry>,
    skipped: Skipped,
    notes: Vec<String>,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Files below a folder.
    Folder(PathBuf),
    /// Places in a file.
    Archive(PathBuf, Mutex<File>),
    Zip(PathBuf, Mutex<ZipArchive<BufReader<File>>>),
}

impl Dataset {
    /// Indexes a folder, an archive, a Parquet file, a list or a single image.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](itp_ood::ErrorKind::Io) if something can't be read;
    /// [`ErrorKind::Data`](itp_ood::ErrorKind::Data) if there are no images, if some images have a
    /// class and others don't, or if a list or an archive is malformed.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut set = Self::index(path).map_err(|error| error.context(path.display()))?;
        set.name = path
            .canonicalize()
            .unwrap_or_else(|_| path.to_owned())
            .file_stem()
            .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Ok(set)
    }

    fn index(path: &Path) -> Result<Self> {
        let meta = std::fs::metadata(path)
            .map_err(|e| Error::io(format!("cannot be read: {e}")).with_source(e))?;
        if meta.is_dir() {
            if is_image_path(path) {
                return Err(Error::data(
                    "this is a folder, though its name ends like an image's; rename it",
                ));
            }
            let listing = folder::list(path)?;
            return Self::classified(listing, Source::Folder(path.to_owned()));
        }
        file::check_regular(&meta)?;
        let open = || File::open(path).map_err(|e| Error::io("cannot be opened").with_source(e));
        match extension(path).as_str() {
            "tar" => {
                let mut file = open()?;
                let listing = archive::tar(&mut file)?;
                Self::classified(listing, Source::Archive(path.to_owned(), Mutex::new(file)))
            }
            "zip" => {
                let (archive, listing) = archive::zip(open()?)?;
                Self::classified(listing, Source::Zip(path.to_owned(), Mutex::new(archive)))
            }
            "parquet" => {
                let (images, classes, entries) = parquet::read(open()?)?;
                let source = Source::Archive(path.to_owned(), Mutex::new(images));
                Ok(Self::new(classes, entries, source))
            }
            "gz" | "tgz" | "zst" | "xz" | "bz2" | "7z" | "rar" => Err(Error::data(
                "archives of this kind are not read; unpack it, or make it a plain .tar or a .zip",
            )),
            _ => {
                let folder = path.parent().unwrap_or(Path::new("")).to_owned();
                let source = Source::Folder(folder.clone());
                if is_image_path(path) || decode::is_image(path) {
                    let name = path.file_name().unwrap_or_default();
                    let entry = Entry::file(name.to_string_lossy().into_owned(), path);
                    return Ok(Self::new(Vec::new(), vec![entry], source));
                }
                let (classes, entries) = list::read(path, &folder)?;
                Ok(Self::new(classes, entries, source))
            }
        }
    }

    /// Single images without classes, in the given order. A file that is missing is found out when
    /// it is read.
    pub fn files(paths: &[PathBuf]) -> Self {
        let entries = paths.iter().map(|path| Entry::file(path.display().to_string(), path));
        let entries = entries.collect();
        let mut set = Self::new(Vec::new(), entries, Source::Folder(PathBuf::new()));
        set.name = "files".to_owned();
        set
    }

    fn new(classes: Vec<String>, entries: Vec<Entry>, source: Source) -> Self {
        let (name, skipped, notes) = (String::new(), Skipped::default(), Vec::new());
        Self { name, classes, entries, skipped, notes, source }
    }

    fn classified(listing: Listing, source: Source) -> Result<Self> {
        let (classes, entries) = classes::classify(listing.found, &listing.skipped)?;
        let set = Self::new(classes, entries, source);
        Ok(Self { skipped: listing.skipped, notes: listing.notes, ..set })
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

    /// Files that were passed over, counted by kind.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// What should be known about single members: links that lead nowhere, members stored twice.
    pub fn notes(&self) -> &[String] {
        &self.notes
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

    /// Keeps a part of the images, if one is given; gives the places that they had.
    ///
    /// # Errors
    /// [`ErrorKind::Data`](itp_ood::ErrorKind::Data) if no image is in it.
    pub fn keep_shard(&mut self, shard: Option<Shard>) -> Result<Vec<usize>> {
        let all = self.entries.len();
        let entries = std::mem::take(&mut self.entries).into_iter().enumerate();
        let places;
        (places, self.entries) =
            entries.filter(|&(place, _)| shard.is_none_or(|shard| shard.has(place))).unzip();
        match shard {
            Some(shard) if self.entries.is_empty() => Err(Error::data(format!(
                "no image of {} is in part {shard}: there are only {all}; make at most {all} parts",
                self.name
            ))),
            _ => Ok(places),
        }
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
    /// [`ErrorKind::Image`](itp_ood::ErrorKind::Image) if they can't be read.
    pub fn read(&self, entry: &Entry) -> Result<Vec<u8>> {
        if entry.bytes > MAX_FILE_BYTES {
            return Err(Error::image(format!(
                "the file has {} bytes, more than the limit of {MAX_FILE_BYTES}",
                entry.bytes
            )));
        }
        let unreadable = |e| Error::image(format!("the file cannot be read: {e}")).with_source(e);
        match (&self.source, &entry.place) {
            (Source::Archive(_, file), &Place::Offset(offset)) => {
                let mut bytes = vec![0; entry.bytes as usize];
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(offset))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map_err(unreadable)?;
                Ok(bytes)
            }
            (Source::Zip(_, archive), &Place::Member(index)) => {
                let mut archive = archive.lock().unwrap_or_else(PoisonError::into_inner);
                let member = archive.by_index(index).map_err(|e| {
                    Error::image(format!("the archive's member cannot be read: {e}")).with_source(e)
                })?;
                let mut bytes = Vec::new();
                member.take(entry.bytes).read_to_end(&mut bytes).map_err(unreadable)?;
                Ok(bytes)
            }
            _ => {
                let path = self.file_of(entry);
                let meta = std::fs::metadata(&path).map_err(unreadable)?;
                file::check_regular(&meta)
                    .map_err(|error| Error::image(error.message()).with_source(error))?;
                std::fs::read(path).map_err(unreadable)
            }
        }
    }

    /// Where an image lies, for messages.
    pub fn path_of(&self, entry: &Entry) -> String {
        match &self.source {
            Source::Folder(_) => self.file_of(entry).display().to_string(),
            Source::Archive(path, _) | Source::Zip(path, _) => {
                format!("{}:{}", path.display(), entry.name)
            }
        }
    }

    fn file_of(&self, entry: &Entry) -> PathBuf {
        match (&self.source, &entry.place) {
            (_, Place::File(path)) => path.clone(),
            (Source::Folder(folder), _) => folder.join(&entry.name),
            _ => PathBuf::from(&entry.name),
        }
    }
}

impl Entry {
    /// A single file.
    fn file(name: String, path: &Path) -> Self {
        // A file that is missing is found out, and named, when it is read.
        let bytes = std::fs::metadata(path).map_or(0, |meta| meta.len());
        Self { name, class: None, bytes, place: Place::File(path.to_owned()) }
    }
}

/// Whether a path ends like an image file.
pub fn is_image_path(path: &Path) -> bool {
    EXTENSIONS.contains(&extension(path).as_str())
}

/// A path's extension in lower case, without the dot; empty without one.
fn extension(path: &Path) -> String {
    path.extension().map_or_else(String::new, |e| e.to_string_lossy().to_lowercase())
}
