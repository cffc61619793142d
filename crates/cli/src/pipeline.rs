//! Images in, features out: decoded and run in parallel, handed on in order, a bounded number of
//! them in memory.

use std::path::{Path, PathBuf};

use crate::dataset::{Dataset, Entry, decode};
use itp_ood::{Error, ErrorKind, Model, Result};
use ndarray::{Array1, Array2, ArrayView1};
use rayon::prelude::*;

use crate::features::Cache;
use crate::options::{FeatureArgs, WorkArgs};
use crate::progress;
use crate::tally::Tally;

/// Images that each thread takes before results are handed on. More would only take memory.
const IMAGES_PER_THREAD: usize = 32;
/// Broken images that are named one by one; the rest are counted.
const NAMED: usize = 50;

/// Features `[n, D]` of as many images, gathered one behind the other.
pub fn matrix(values: Vec<f32>, images: usize) -> Result<Array2<f32>> {
    Array2::from_shape_vec((images, values.len() / images.max(1)), values)
        .map_err(|e| Error::features("features of different lengths").with_source(e))
}

/// Finds the places of a set's entries, given one after the other in its order.
#[derive(Default)]
pub struct Places(usize);

impl Places {
    /// The place of the next entry. Names can occur twice, so that they tell nothing.
    pub fn of(&mut self, set: &Dataset, entry: &Entry) -> usize {
        let later = set.entries()[self.0..].iter().position(|at| std::ptr::eq(at, entry));
        let place = self.0 + later.unwrap_or(0);
        self.0 = place + 1;
        place
    }
}

/// Runs a model over sets of images.
pub struct Pipeline<'a> {
    model: &'a Model,
    pool: rayon::ThreadPool,
    strict: bool,
    quiet: bool,
    cache: Option<PathBuf>,
    limit: Option<usize>,
}

impl<'a> Pipeline<'a> {
    pub fn new(model: &'a Model, work: &WorkArgs) -> Result<Self> {
        if work.threads == Some(0) || work.limit_per_class == Some(0) {
            return Err(Error::options("--threads and --limit-per-class must be 1 or more"));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(work.threads.unwrap_or(0))
            .build()
            .map_err(|e| Error::io("threads cannot be started").with_source(e))?;
        Ok(Self {
            model,
            pool,
            strict: work.strict,
            quiet: work.quiet,
            cache: None,
            limit: work.limit_per_class,
        })
    }

    /// The same, keeping features where the user asked for it.
    pub fn keeping(mut self, features: &FeatureArgs) -> Self {
        self.cache = features.features.clone();
        self
    }

    /// Opens a set of images, limited as asked for.
    pub fn open(&self, path: &Path) -> Result<Dataset> {
        let mut set = Dataset::open(path)?;
        for note in set.notes().iter().take(NAMED) {
            eprintln!("itp: note: {}: {note}", path.display());
        }
        if let Some(more) = set.notes().len().checked_sub(NAMED).filter(|&more| more > 0) {
            eprintln!("itp: note: {}: {more} more of this kind", path.display());
        }
        if let Some(limit) = self.limit {
            set.limit_per_class(limit);
        }
        Ok(set)
    }

    /// Hands every image's features, or why there are none, to `each`, in the set's order.
    ///
    /// # Errors
    /// What `each` returns, Ctrl-C, and failures that are not one image's own.
    pub fn stream(
        &self,
        set: &Dataset,
        mut each: impl FnMut(&Entry, Result<Array1<f32>>) -> Result<()>,
    ) -> Result<()> {
        let work = |entry: &Entry| {
            let pixels = decode(&set.read(entry)?)?;
            self.model.features(&pixels.view()?)
        };
        self.parallel(set.name(), set.entries(), work, &mut each)
    }

    /// Does `work` on all `items` in parallel and hands the results to `each`, in order.
    ///
    /// # Errors
    /// What `each` returns, and Ctrl-C.
    pub fn parallel<I: Sync, T: Send>(
        &self,
        name: &str,
        items: &[I],
        work: impl Fn(&I) -> Result<T> + Sync,
        mut each: impl FnMut(&I, Result<T>) -> Result<()>,
    ) -> Result<()> {
        let bar = progress::bar(items.len(), name, self.quiet);
        let step = |item: &I| {
            progress::check()?;
            let done = work(item);
            bar.inc(1);
            done
        };
        for chunk in items.chunks(self.pool.current_num_threads() * IMAGES_PER_THREAD) {
            let done: Vec<Result<T>> = self.pool.install(|| chunk.par_iter().map(step).collect());
            for (item, done) in chunk.iter().zip(done) {
                progress::check()?;
                bar.suspend(|| each(item, done))?;
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Hands the features of every image that is not broken to `each`, in the set's order; names
    /// and counts the others. Takes the features from the cache where it has them.
    ///
    /// # Errors
    /// As [`stream`](Self::stream); the first broken image if the user wants it strict; `Data` if
    /// every image is broken.
    pub fn run(
        &self,
        set: &Dataset,
        mut each: impl FnMut(&Entry, ArrayView1<f32>) -> Result<()>,
    ) -> Result<Tally> {
        let mut cache =
            self.cache.as_ref().map(|folder| Cache::new(folder, self.model, set)).transpose()?;
        if let Some(cache) = &cache
            && let Some(tally) = cache.replay(set, &mut each)?
        {
            return Ok(tally);
        }
        let mut tally = Tally { skipped: set.skipped().clone(), ..Tally::default() };
        self.stream(set, |entry, features| match features {
            Ok(features) => {
                tally.used += 1;
                if let Some(cache) = &mut cache {
                    cache.push(entry, set, features.view())?;
                }
                each(entry, features.view())
            }
            Err(error) if is_per_image(&error) => {
                let error = error.context(set.path_of(entry));
                if self.strict {
                    return Err(error);
                }
                tally.broken += 1;
                if tally.broken <= NAMED {
                    eprintln!("itp: left out: {error}");
                }
                Ok(())
            }
            Err(error) => Err(error),
        })?;
        if tally.broken > NAMED {
            eprintln!("itp: left out: {} more images", tally.broken - NAMED);
        }
        if tally.used == 0 {
            return Err(Error::data(format!(
                "none of the {} images in {} could be used",
                tally.broken,
                set.name()
            )));
        }
        if let Some(cache) = cache {
            cache.finish(tally.broken)?;
        }
        Ok(tally)
    }
}

/// Whether an error lies with one image alone.
pub fn is_per_image(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Image | ErrorKind::Features)
}
