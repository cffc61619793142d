//! What tells images apart by their features, the same on every machine and in every version.

use ndarray::ArrayView1;
use sha2::{Digest, Sha256};

/// The first half of the SHA-256 of the features' bits: the same image gives the same one.
pub fn fingerprint(features: ArrayView1<f32>) -> u128 {
    let mut hash = Sha256::new();
    features.iter().for_each(|h| hash.update(h.to_le_bytes()));
    let digest = hash.finalize();
    digest.iter().take(16).fold(0, |bits, &byte| bits << 8 | u128::from(byte))
}
