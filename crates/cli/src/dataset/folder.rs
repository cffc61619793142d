//! Images in folders.

use std::path::Path;

use itp_ood::{Error, Result};
use walkdir::WalkDir;

use super::listing::{Listing, Place, is_hidden, to_text};

/// All images below a folder, in no particular order. Links are followed.
pub(super) fn list(root: &Path) -> Result<Listing> {
    let mut listing = Listing::default();
    for item in WalkDir::new(root).min_depth(1).follow_links(true) {
        let item = match item {
            Ok(item) => item,
            Err(error) => {
                let name = error.path().map_or_else(String::new, |path| name_in(root, path));
                if error.loop_ancestor().is_some() {
                    listing.skipped.add("link in a circle");
                    listing
                        .notes
                        .push(format!("{name}: this link leads to a folder that it lies in"));
                } else if error.io_error().is_some_and(|e| e.kind() == std::io::ErrorKind::NotFound)
                {
                    listing.refuse(&name, "link to nowhere", "this link leads nowhere");
                } else if !name.split('/').any(is_hidden) {
                    return Err(Error::io(format!("{name} cannot be read")).with_source(error));
                }
                continue;
            }
        };
        if item.file_type().is_dir() {
            continue;
        }
        let name = name_in(root, item.path());
        if !item.file_type().is_file() {
            listing.refuse(&name, "not a regular file", "this is a device or a pipe");
            continue;
        }
        let bytes = item.metadata().map_or(0, |meta| meta.len());
        let is_literal = root.join(&name) == item.path();
        let place = if is_literal { Place::Named } else { Place::File(item.path().to_owned()) };
        listing.offer(name, bytes, place);
    }
    Ok(listing)
}

/// The path below the root, with `/` between its parts.
fn name_in(root: &Path, path: &Path) -> String {
    let parts = path.strip_prefix(root).unwrap_or(path).components();
    let parts: Vec<String> =
        parts.map(|part| to_text(part.as_os_str().as_encoded_bytes())).collect();
    parts.join("/")
}
