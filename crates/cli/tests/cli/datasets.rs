//! Which files are images of which class: tests/datasets.json, that the page is tested with too.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use itp_ood::{ErrorKind, Result};
use itp_ood_cli::dataset::Dataset;
use serde::Deserialize;
use zip::write::SimpleFileOptions;

#[derive(Deserialize)]
struct List {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    paths: Vec<String>,
    #[serde(default)]
    classes: Vec<String>,
    #[serde(default)]
    images: BTreeMap<String, Option<String>>,
    #[serde(default)]
    skipped: BTreeMap<String, usize>,
    error: Option<String>,
}

impl Case {
    fn check(&self, form: &str, opened: Result<Dataset>) {
        let place = format!("{}, as {form}", self.name);
        let set = match (opened, &self.error) {
            (Err(error), Some(expected)) => {
                assert_eq!(error.kind(), ErrorKind::Data, "{place}: {error}");
                return assert!(error.message().contains(expected), "{place}: {error}");
            }
            (Ok(_), Some(_)) => panic!("{place}: no error"),
            (Err(error), None) => panic!("{place}: {error}"),
            (Ok(set), None) => set,
        };
        assert_eq!(set.classes(), self.classes, "{place}");
        let found = set.entries().iter().map(|entry| {
            (entry.name.clone(), entry.class.map(|class| set.classes()[class].clone()))
        });
        let found: Vec<_> = found.collect();
        let expected: Vec<_> = self.images.clone().into_iter().collect();
        assert_eq!(found, expected, "{place}");
        let skipped: BTreeMap<String, usize> =
            set.skipped().iter().map(|(kind, n)| (kind.to_owned(), n)).collect();
        assert_eq!(skipped, self.skipped, "{place}");
        for entry in set.entries() {
            assert_eq!(set.read(entry).unwrap(), entry.name.as_bytes(), "{place}");
        }
    }
}

#[test]
fn folders_and_archives_give_the_listed_images() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/datasets.json");
    let list: List = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert!(list.cases.len() > 10);
    let folder = tempfile::tempdir().unwrap();
    for (at, case) in list.cases.iter().enumerate() {
        let root = folder.path().join(at.to_string());
        let (tar_path, zip_path) = (root.with_extension("tar"), root.with_extension("zip"));
        let mut tar = tar::Builder::new(File::create(&tar_path).unwrap());
        let mut zip = zip::ZipWriter::new(File::create(&zip_path).unwrap());
        for path in &case.paths {
            // The contents are the path, so that each image is known again.
            let on_disk = root.join(path);
            std::fs::create_dir_all(on_disk.parent().unwrap()).unwrap();
            std::fs::write(&on_disk, path).unwrap();
            tar.append_path_with_name(&on_disk, path).unwrap();
            zip.start_file(path.as_str(), SimpleFileOptions::default()).unwrap();
            zip.write_all(path.as_bytes()).unwrap();
        }
        tar.finish().unwrap();
        zip.finish().unwrap();
        case.check("a folder", Dataset::open(&root));
        case.check("a tar archive", Dataset::open(&tar_path));
        case.check("a zip archive", Dataset::open(&zip_path));
    }
}
