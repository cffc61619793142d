//! Post-hoc detectors: one number for each image, higher = more in-distribution.
//!
//! A detector is one file here: what it gathers from training features, its tensors in the stats
//! file, its hyperparameters, its score, its explanation if it has one, and its row of the
//! documentation. [`registry`] lists them, and composes names such as `itp+react` or `msp+itp`.
//! How to add one: docs/adding-a-detector.md.

pub mod ash;
pub mod auto;
pub mod bats;
pub mod cadref;
mod compose;
pub mod detector;
pub mod dice;
pub mod energy;
pub mod fdbd;
pub mod fit;
pub mod gather;
pub mod generalized_entropy;
pub(crate) mod gradient;
pub mod gradnorm;
pub mod held;
pub mod held_t;
pub mod hyperparameters;
pub mod itp;
pub mod joint_energy;
pub mod klm;
pub mod knn;
pub mod knn_means;
pub mod laps;
pub mod line;
pub mod mahalanobis;
pub mod mahalanobis_pp;
mod masked;
pub mod mls;
pub mod msp;
pub mod nci;
pub mod nnguide;
pub mod odin;
pub mod opnp;
pub mod overrides;
pub mod ras;
pub mod react;
pub mod registry;
pub mod scale;
pub mod vim;
pub mod vra;
pub mod weiper_kld;
