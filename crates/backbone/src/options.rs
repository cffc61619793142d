//! What a caller may say about a model.

use std::fmt;

use itp_ood_kernels::Width;

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
    /// Also prepare the gradient of the features with respect to the image
    /// ([`Backbone::gradient`](crate::Backbone::gradient)), which takes memory for a second set of
    /// weights and for what the network computes on its way.
    pub gradient: bool,
    /// Also keep the last map ([`Backbone::features_and_map`](crate::Backbone::features_and_map)).
    pub last_map: bool,
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
            .field("gradient", &self.gradient)
            .field("last_map", &self.last_map)
            .finish()
    }
}

/// What a model may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The most memory for weights and for what the network computes for one image, in bytes.
    pub memory: usize,
    /// The most multiplications for one image.
    pub multiplications: u64,
}

impl Limits {
    /// The default limits with another one for memory, in MiB.
    pub fn with_memory(mib: u32) -> Self {
        let memory = usize::try_from(u64::from(mib) << 20).unwrap_or(usize::MAX);
        Self { memory, ..Self::default() }
    }
}

impl Default for Limits {
    /// 1 GiB (512 MiB in WebAssembly), and 10^12 multiplications.
    fn default() -> Self {
        let memory = if cfg!(target_family = "wasm") { 1 << 29 } else { 1 << 30 };
        Self { memory, multiplications: 1_000_000_000_000 }
    }
}

/// Whose kernels run convolutions and poolings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kernels {
    /// This crate's, with batch normalisation and activation fused in. In WebAssembly and on x86-64
    /// processors with AVX2, a network takes about half the time that it takes on tract's.
    Custom,
    /// tract's, which are hand-written for other native targets too.
    Tract,
}

impl Default for Kernels {
    /// The faster ones on this processor.
    fn default() -> Self {
        if Width::are_fast() { Self::Custom } else { Self::Tract }
    }
}
