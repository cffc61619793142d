//! Features kept in files, so that no image is run twice.
//!
//! A file `NAME-KEY.safetensors` holds `features` [N, D] f32, `class` [N] i64 (index into the
//! metadata's `classes`, -1 without a class) and `entry` [N] i64 (index into the sorted images;
//! broken ones are missing). The key is made from the model's hash, the preprocessing and the
//! images' paths, lengths and classes. Features go to the file as they come, so that memory does not
//! grow with them.

use std::collections::HashMap;
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};

use crate::dataset::{Dataset, Entry};
use itp_ood::stats::sha256;
use itp_ood::{Error, Model, Result};
use ndarray::{ArrayView1, ArrayView2};
use safetensors::tensor::{Dtype, SafeTensors};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::output;
use crate::tally::Tally;

pub struct Cache {
    path: PathBuf,
    metadata: HashMap<String, String>,
    num_features: usize,
    /// The file being written, at the end of the features so far; made for the first image.
    file: Option<BufWriter<NamedTempFile>>,
    /// Bytes set aside for the header, which can be written only when N is known.
    header_len: usize,
    classes: Vec<i64>,
    entries: Vec<i64>,
    /// Where the next image is looked for among the set's entries.
    next: usize,
}

impl Cache {
    pub fn new(folder: &Path, model: &Model, set: &Dataset) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| {
            Error::io(format!("the folder {} cannot be made: {e}", folder.display())).with_source(e)
        })?;
        let preprocess = output::json(model.preprocess())?;
        let fingerprint = set.fingerprint();
        let key = sha256(format!("{} {preprocess} {fingerprint}", model.sha256()).as_bytes());
        let path = folder.join(format!("{}-{}.safetensors", set.name(), &key[..12]));
        let metadata = HashMap::from([
            ("key".to_owned(), key),
            ("model_sha256".to_owned(), model.sha256().to_owned()),
            ("preprocess".to_owned(), preprocess),
            ("images".to_owned(), fingerprint),
            ("classes".to_owned(), output::json(&set.classes())?),
        ]);
        Ok(Self {
            path,
            metadata,
            num_features: model.head().num_features(),
            file: None,
            header_len: 0,
            classes: Vec::new(),
            entries: Vec::new(),
            next: 0,
        })
    }

    /// Hands on what the file holds; `None` if there is no file that fits.
    pub fn replay(
        &self,
        set: &Dataset,
        each: &mut impl FnMut(&Entry, ArrayView1<f32>) -> Result<()>,
    ) -> Result<Option<Tally>> {
        if !self.path.exists() {
            return Ok(None);
        }
        let bytes = output::read(&self.path)?;
        let Some((features, entries, broken)) = self.parse(&bytes) else {
            eprintln!("itp: {} is damaged; it will be made again", self.path.display());
            return Ok(None);
        };
        let rows = ArrayView2::from_shape((entries.len(), self.num_features), &features)
            .map_err(|e| Error::io("the kept features have an odd shape").with_source(e))?;
        for (row, &index) in rows.outer_iter().zip(&entries) {
            crate::progress::check()?;
            each(&set.entries()[index], row)?;
        }
        Ok(Some(Tally { used: entries.len(), broken, skipped: set.skipped().clone() }))
    }

    /// Features, entries and the number of broken images, if everything fits.
    fn parse(&self, bytes: &[u8]) -> Option<(Vec<f32>, Vec<usize>, usize)> {
        let (_, header) = SafeTensors::read_metadata(bytes).ok()?;
        let metadata = header.metadata().as_ref()?;
        if metadata.get("key") != self.metadata.get("key") {
            return None;
        }
        let broken = metadata.get("broken")?.parse().ok()?;
        let tensors = SafeTensors::deserialize(bytes).ok()?;
        let features = tensors.tensor("features").ok()?;
        let entries = tensors.tensor("entry").ok()?;
        if features.dtype() != Dtype::F32 || entries.dtype() != Dtype::I64 {
            return None;
        }
        let (values, _) = features.data().as_chunks::<4>();
        let (indices, _) = entries.data().as_chunks::<8>();
        let features: Vec<f32> = values.iter().map(|&b| f32::from_le_bytes(b)).collect();
        let entries: Vec<usize> = indices
            .iter()
            .map(|&b| usize::try_from(i64::from_le_bytes(b)).ok())
            .collect::<Option<_>>()?;
        let fits = features.len() == entries.len() * self.num_features && !entries.is_empty();
        fits.then_some((features, entries, broken))
    }

    /// Keeps one image's features.
    pub fn push(&mut self, entry: &Entry, set: &Dataset, features: ArrayView1<f32>) -> Result<()> {
        let unwritable = |e| output::unwritable(&self.path, e);
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                // No header will be longer than one for all images, with all of them broken.
                self.header_len = self.header(set.entries().len(), set.entries().len()).len();
                let mut file = BufWriter::new(output::begin(&self.path)?);
                file.write_all(&vec![0; 8 + self.header_len]).map_err(unwritable)?;
                self.file.insert(file)
            }
        };
        for value in features {
            file.write_all(&value.to_le_bytes()).map_err(unwritable)?;
        }
        while self.next < set.entries().len() && set.entries()[self.next] != *entry {
            self.next += 1;
        }
        self.entries.push(self.next as i64);
        self.classes.push(entry.class.map_or(-1, |class| class as i64));
        Ok(())
    }

    /// Completes the file.
    pub fn finish(mut self, broken: usize) -> Result<()> {
        let unwritable = |e| output::unwritable(&self.path, e);
        let Some(mut file) = self.file.take() else { return Ok(()) };
        for value in self.classes.iter().chain(&self.entries) {
            file.write_all(&value.to_le_bytes()).map_err(unwritable)?;
        }
        let mut header = self.header(self.entries.len(), broken);
        // Spaces at the end of the header are part of the format.
        header.resize(self.header_len, b' ');
        let mut file = file.into_inner().map_err(|e| unwritable(e.into_error()))?;
        file.rewind().map_err(unwritable)?;
        file.write_all(&(header.len() as u64).to_le_bytes()).map_err(unwritable)?;
        file.write_all(&header).map_err(unwritable)?;
        output::finish(file, &self.path)
    }

    /// The safetensors header for `n` images.
    fn header(&self, n: usize, broken: usize) -> Vec<u8> {
        let mut metadata = self.metadata.clone();
        metadata.insert("broken".to_owned(), broken.to_string());
        let features = n * self.num_features * 4;
        let (classes, entries) = (features + n * 8, features + n * 16);
        let header = json!({
            "__metadata__": metadata,
            "features": {
                "dtype": "F32", "shape": [n, self.num_features], "data_offsets": [0, features],
            },
            "class": { "dtype": "I64", "shape": [n], "data_offsets": [features, classes] },
            "entry": { "dtype": "I64", "shape": [n], "data_offsets": [classes, entries] },
        });
        let mut bytes = header.to_string().into_bytes();
        bytes.resize(bytes.len().next_multiple_of(8), b' ');
        bytes
    }
}
