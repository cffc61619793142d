//! Real data, which is not part of the repository.

use std::path::PathBuf;

/// The folder with real data, `../shared` or where `ITP_SHARED` says, if it holds a file or folder.
pub fn shared(needed: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("ITP_SHARED").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared")),
        PathBuf::from,
    );
    if folder.join(needed).exists() {
        return Some(folder);
    }
    println!("skipped: no real data in {}", folder.display());
    None
}
