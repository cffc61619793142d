//! Images in tar and zip archives, as unpacking them would give: links are followed, and of members
//! with the same name the last one counts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};

use itp_ood::{Error, Result};
use zip::ZipArchive;

use super::listing::{Listing, Place, to_text};

/// More links in a row, or folders of links in one another, are taken for a circle.
const MAX_LINKS: usize = 40;

/// What a member's name stands for.
#[derive(Clone)]
enum Node {
    File {
        bytes: u64,
        place: Place,
    },
    /// A symbolic link to a path in the archive; `None` if it leads out of it.
    Link(Option<Vec<u8>>),
    /// A device, a sparse file, a hard link to what the archive lacks.
    Unusable(&'static str, &'static str),
}

/// All images of a tar archive.
pub(super) fn tar(file: &mut File) -> Result<Listing> {
    let damaged = |e: std::io::Error| {
        Error::data(format!("the archive is damaged or no tar file: {e}")).with_source(e)
    };
    let length = file.metadata().map_err(damaged)?.len();
    let mut archive = ::tar::Archive::new(file);
    let mut members = Members::default();
    for entry in archive.entries_with_seek().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let name = entry.path_bytes().into_owned();
        let target = || entry.link_name_bytes().unwrap_or_default().into_owned();
        let kind = entry.header().entry_type();
        // Old archives mark a folder by its name alone.
        if kind.is_dir() || kind.is_pax_global_extensions() || name.ends_with(b"/") {
            continue;
        }
        if kind.is_file() || kind.is_contiguous() {
            let (bytes, offset) = (entry.size(), entry.raw_file_position());
            if offset.checked_add(bytes).is_none_or(|end| end > length) {
                return Err(Error::data(format!(
                    "the archive ends before {} does; it was not copied completely",
                    to_text(&name)
                )));
            }
            members.add(&name, Node::File { bytes, place: Place::Offset(offset) });
        } else if kind.is_symlink() {
            members.add_link(&name, &target());
        } else if kind.is_hard_link() {
            let node = path_in_archive(&target()).and_then(|path| members.nodes.get(&path));
            let lost = Node::Unusable("link to nowhere", "the archive lacks what it links to");
            members.add(&name, node.cloned().unwrap_or(lost));
        } else {
            members.add(&name, Node::Unusable("not a regular file", "this is no regular file"));
        }
    }
    Ok(members.listing())
}

/// A zip archive with all its images.
pub(super) fn zip(file: File) -> Result<(ZipArchive<BufReader<File>>, Listing)> {
    let damaged = |e: zip::result::ZipError| {
        Error::data(format!("the archive is damaged or no zip file: {e}")).with_source(e)
    };
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    let mut members = Members::default();
    for index in 0..archive.len() {
        // Raw: a member that can't be unpacked is found out, and named, when it is read.
        let mut member = archive.by_index_raw(index).map_err(damaged)?;
        if member.encrypted() {
            return Err(Error::data("the archive is encrypted; unpack it first"));
        }
        if member.is_dir() {
            continue;
        }
        // Archivers without the flag for UTF-8 mostly write UTF-8 nevertheless; else it is CP437.
        let name = match std::str::from_utf8(member.name_raw()) {
            Ok(name) => name.to_owned(),
            Err(_) => member.name().map_err(damaged)?.into_owned(),
        };
        // Some Windows programs separate folders their own way.
        let name = name.replace('\\', "/").into_bytes();
        if member.is_symlink() {
            let mut target = Vec::new();
            drop(member);
            member = archive.by_index(index).map_err(damaged)?;
            member.by_ref().take(4096).read_to_end(&mut target).map_err(|e| damaged(e.into()))?;
            members.add_link(&name, &target);
        } else {
            let place = Place::Member(index);
            members.add(&name, Node::File { bytes: member.size(), place });
        }
    }
    Ok((archive, members.listing()))
}

/// The members of an archive, as they come.
#[derive(Default)]
struct Members {
    nodes: BTreeMap<Vec<u8>, Node>,
    listing: Listing,
}

impl Members {
    fn add(&mut self, name: &[u8], node: Node) {
        let text = to_text(name);
        let Some(path) = path_in_archive(name) else {
            self.listing.refuse(&text, "path outside the archive", "this path leads out of it");
            return;
        };
        if self.nodes.insert(path, node).is_some() {
            self.listing.refuse(&text, "stored twice", "it is stored twice; the last one counts");
        }
    }

    fn add_link(&mut self, name: &[u8], target: &[u8]) {
        let folder = name.iter().rposition(|&byte| byte == b'/').map_or(&[][..], |at| &name[..at]);
        let target = match target.starts_with(b"/") {
            true => None,
            false => path_in_archive(&[folder, b"/", target].concat()),
        };
        self.add(name, Node::Link(target));
    }

    fn listing(mut self) -> Listing {
        let mut listing = std::mem::take(&mut self.listing);
        for (name, node) in &self.nodes {
            self.offer(&mut listing, name, node, 0);
        }
        listing
    }

    fn offer(&self, listing: &mut Listing, name: &[u8], node: &Node, depth: usize) {
        let text = || to_text(name);
        let target = match node {
            Node::File { bytes, place } => {
                return listing.offer(text(), *bytes, place.clone());
            }
            Node::Unusable(kind, why) => return listing.refuse(&text(), kind, why),
            Node::Link(target) => target.clone().and_then(|target| self.resolve(target)),
        };
        let Some(target) = target else {
            return listing.refuse(
                &text(),
                "link to nowhere",
                "the archive lacks what it links to",
            );
        };
        if let Some(node) = self.nodes.get(&target) {
            return self.offer(listing, name, node, depth);
        }
        // A folder: what lies in it lies in the link too.
        let folder = if target.is_empty() { target } else { [&target[..], b"/"].concat() };
        if depth == MAX_LINKS || name.starts_with(&folder) {
            listing.skipped.add("link in a circle");
            return;
        }
        let inside = self.nodes.range(folder.clone()..);
        let inside: Vec<_> = inside.take_while(|(path, _)| path.starts_with(&folder)).collect();
        if inside.is_empty() {
            listing.refuse(&text(), "link to nowhere", "the archive lacks what it links to");
        }
        for (path, node) in inside {
            let name = [name, b"/", &path[folder.len()..]].concat();
            self.offer(listing, &name, node, depth + 1);
        }
    }

    /// Follows links until a path is none itself, nor leads through one.
    fn resolve(&self, mut path: Vec<u8>) -> Option<Vec<u8>> {
        for _ in 0..MAX_LINKS {
            let ends = path.iter().enumerate().filter(|&(_, &byte)| byte == b'/');
            let ends: Vec<usize> = ends.map(|(at, _)| at).chain([path.len()]).collect();
            let link = ends.into_iter().find_map(|end| match self.nodes.get(&path[..end]) {
                Some(Node::Link(target)) => Some((target, end)),
                _ => None,
            });
            let Some((target, end)) = link else { return Some(path) };
            path = [target.as_ref()?, &path[end..]].concat();
        }
        None
    }
}

/// A member's path without `.` and `..`, from the archive's root; `None` if it leads out of it.
fn path_in_archive(name: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join(&b'/'))
}
