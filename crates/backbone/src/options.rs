//! What a caller may say about a model.

use std::fmt;

use crate::backbone::Kernels;
use crate::check::Limits;

/// Finds a file of a model's weights by the name that the model has for it.
pub type ExternalData<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// What the model itself leaves open. The default says nothing.
#[derive(Clone, Copy, Default)]
pub struct LoadOptions<'a> {
    /// (height, width) of images, in pixels, where the model takes any.
    pub input_size: Option<(usize, usize)>,
    /// Channels of images where the model doesn't say; 3 for colour.
    pub channels: Option<usize>,
    /// The output whose classifier to use, where there are several.
    pub output: Option<&'a str>,
    /// Reads weights that lie in files beside the model, by their names.
    pub external_data: Option<ExternalData<'a>>,
    /// What the model may cost.
    pub limits: Limits,
    /// Whose kernels to run.
    pub kernels: Kernels,
}

impl fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadOptions")
            .field("input_size", &self.input_size)
            .field("channels", &self.channels)
            .field("output", &self.output)
            .field("external_data", &self.external_data.is_some())
            .field("limits", &self.limits)
            .field("kernels", &self.kernels)
            .finish()
    }
}
