//! Data as it lies there: tests/faults has an example of each kind, and each test makes more of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use itp_ood_cli::dataset::Dataset;
use serde_json::Value;
use tar::{EntryType, Header};

use crate::support::*;

pub fn fault(name: &str) -> String {
    format!("{}/../../tests/faults/files/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Calibrates the model of four classes on images, and gives the summary of `--json`.
#[track_caller]
pub fn calibrated(images: &str, more: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("s.itp.safetensors");
    let model = fault("../plain.onnx");
    let args = ["calibrate", &model, images, "-o", output.to_str().unwrap(), "--json"];
    let out = done(itp(args.into_iter().chain(PREPROCESS).chain(more.iter().copied())));
    serde_json::from_str(&out).unwrap()
}

fn names(set: &Dataset) -> Vec<&str> {
    set.entries().iter().map(|entry| entry.name.as_str()).collect()
}

fn skipped(set: &Dataset) -> BTreeMap<&str, usize> {
    set.skipped().iter().collect()
}

/// Writes a tar archive of members: type, name, contents or target.
fn tar_of(path: &Path, members: &[(EntryType, &[u8], &str)]) {
    let mut archive = tar::Builder::new(File::create(path).unwrap());
    for &(kind, name, rest) in members {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        header.set_entry_type(kind);
        header.set_mode(0o644);
        let is_file = kind == EntryType::Regular;
        header.set_size(if is_file { rest.len() as u64 } else { 0 });
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name(rest).unwrap();
        }
        header.set_cksum();
        archive.append(&header, if is_file { rest.as_bytes() } else { b"" }).unwrap();
    }
    archive.finish().unwrap();
}

const FILE: EntryType = EntryType::Regular;
const LINK: EntryType = EntryType::Symlink;

#[test]
fn links_in_archives_are_followed_or_counted() {
    // The links of this one lead out of the archive.
    let summary = calibrated(&fault("sym.tar"), &[]);
    assert_eq!(summary["images"], 12);
    assert_eq!(summary["skipped"], serde_json::json!({ "link to nowhere": 12 }));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("links.tar");
    let hard = EntryType::Link;
    tar_of(
        &path,
        &[
            (LINK, b"ant/early.png", "../pool/1.png"),
            (FILE, b"pool/1.png", "one"),
            (hard, b"ant/hard.png", "pool/1.png"),
            (LINK, b"ant/chain.png", "early.png"),
            (LINK, b"bee", "pool"),
            (LINK, b"cat/through.png", "../bee/1.png"),
            (LINK, b"ant/absolute.png", "/etc/1.png"),
            (LINK, b"ant/circle.png", "circle.png"),
            (LINK, b"loop/self", "."),
            (LINK, b"loop/up", ".."),
            (hard, b"ant/lost.png", "nothing.png"),
            (EntryType::Char, b"ant/device.png", ""),
            (LINK, b"ant/lost.txt", "nothing.txt"),
        ],
    );
    let set = Dataset::open(&path).unwrap();
    let expected = [
        "ant/chain.png",
        "ant/early.png",
        "ant/hard.png",
        "bee/1.png",
        "cat/through.png",
        "pool/1.png",
    ];
    let found: Vec<&str> = names(&set).into_iter().filter(|n| !n.starts_with("loop/")).collect();
    assert_eq!(found, expected);
    assert!(set.entries().iter().all(|entry| set.read(entry).unwrap() == b"one"));
    let skipped = skipped(&set);
    assert_eq!(skipped["not a regular file"], 1);
    assert!(skipped["link to nowhere"] >= 3 && skipped["link in a circle"] >= 1, "{skipped:?}");
    assert_eq!(skipped[".txt"], 1);
    let notes = set.notes().join("\n");
    assert!(notes.contains("ant/absolute.png: the archive lacks"), "{notes}");
}

#[test]
fn members_stored_twice_count_once_and_the_last_wins() {
    let summary = calibrated(&fault("twice.tar"), &[]);
    assert_eq!(summary["images"], 12);
    assert_eq!(summary["skipped"], serde_json::json!({ "stored twice": 1 }));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("twice.tar");
    tar_of(
        &path,
        &[
            (FILE, b"a/1.png", "first"),
            (EntryType::Link, b"a/2.png", "a/1.png"),
            (FILE, b"./a/1.png", "second"),
            (FILE, b"a//1.png", "third"),
            (FILE, b"a/x/../1.png", "last"),
            (LINK, b"a/3.png", "1.png"),
            (FILE, b"../outside.png", "outside"),
        ],
    );
    let set = Dataset::open(&path).unwrap();
    let read: Vec<_> = set.entries().iter().map(|entry| set.read(entry).unwrap()).collect();
    assert_eq!(names(&set), ["a/1.png", "a/2.png", "a/3.png"]);
    // A hard link keeps the file that it was made for.
    assert_eq!(read, [&b"last"[..], b"first", b"last"]);
    assert_eq!(skipped(&set)["stored twice"], 3);
    assert_eq!(skipped(&set)["path outside the archive"], 1);
}

#[test]
fn names_of_members_come_in_any_encoding() {
    let set = Dataset::open(fault("latin1.tar")).unwrap();
    assert_eq!((set.entries().len(), set.skipped().is_empty()), (16, true));
    assert_eq!(set.entries()[0].name, "ant/caf\u{e9}0.png");
    assert_eq!(calibrated(&fault("latin1.tar"), &[])["images"], 16);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("names.tar");
    let mut archive = tar::Builder::new(File::create(&path).unwrap());
    let long = format!("猫/{}.png", "x".repeat(200));
    let pax = "ünï/çödé.png";
    let mut header = Header::new_ustar();
    header.set_size(3);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append_pax_extensions([("path", pax.as_bytes())]).unwrap();
    header.set_path("replaced.png").unwrap();
    header.set_cksum();
    archive.append(&header, &b"pax"[..]).unwrap();
    // Longer than a header's field: GNU's extension.
    let mut header = Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o644);
    header.set_cksum();
    archive.append_data(&mut header, &long, &b"long"[..]).unwrap();
    let mut header = Header::new_ustar();
    header.set_entry_type(LINK);
    header.set_size(0);
    header.set_path("ünï/link.png").unwrap();
    header.set_cksum();
    archive.append_pax_extensions([("linkpath", "çödé.png".as_bytes())]).unwrap();
    archive.append(&header, &b""[..]).unwrap();
    archive.finish().unwrap();
    let set = Dataset::open(&path).unwrap();
    assert_eq!(names(&set), ["ünï/link.png", pax, &long]);
    let read: Vec<_> = set.entries().iter().map(|entry| set.read(entry).unwrap()).collect();
    assert_eq!(read, [&b"pax"[..], b"pax", b"long"]);
    assert_eq!(set.classes(), ["ünï", "猫"]);
}

#[cfg(unix)]
#[test]
fn folders_hold_links_odd_names_pipes_and_folders_named_like_images() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir_all(at("set/ant/folder.png")).unwrap();
    std::fs::create_dir_all(at("pool")).unwrap();
    std::fs::write(at("pool/1.png"), "one").unwrap();
    let latin = at("set/ant").join(OsStr::from_bytes(b"caf\xE9.png"));
    std::fs::write(&latin, "latin").unwrap();
    symlink("../../pool/1.png", at("set/ant/link.png")).unwrap();
    symlink("nothing.png", at("set/ant/lost.png")).unwrap();
    symlink("../pool", at("set/bee")).unwrap();
    symlink("..", at("set/ant/up")).unwrap();
    symlink("/dev/zero", at("set/ant/zero.png")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(at("set/ant/pipe.png")).status().unwrap();
    assert!(made.success());
    let set = Dataset::open(at("set")).unwrap();
    assert_eq!(names(&set), ["ant/caf\u{e9}.png", "ant/link.png", "bee/1.png"]);
    let read: Vec<_> = set.entries().iter().map(|entry| set.read(entry).unwrap()).collect();
    assert_eq!(read, [&b"latin"[..], b"one", b"one"]);
    let expected = [("link in a circle", 1), ("link to nowhere", 1), ("not a regular file", 2)];
    assert_eq!(skipped(&set), BTreeMap::from(expected));

    // As arguments and in lists they are refused, and nothing waits for a pipe.
    let paths = [at("set/ant/pipe.png"), at("set/ant/zero.png"), at("set/ant/folder.png")];
    let list = at("list.txt");
    let lines: String = paths.iter().map(|path| format!("{}\n", path.display())).collect();
    std::fs::write(&list, lines).unwrap();
    let set = Dataset::open(&list).unwrap();
    for entry in set.entries() {
        assert!(set.read(entry).unwrap_err().message().contains("this is a"));
    }
    let args: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    let data = Data::new(2);
    let stats = data.calibrated();
    let model = model("gemm");
    let lines = json_lines(&done(itp(["score", &model, &stats, "--json"].into_iter().chain(args))));
    assert!(lines.iter().all(|line| line["error"]["message"].is_string()), "{lines:?}");
    assert_eq!(lines.len(), 3);
    for device in ["/dev/zero", "/dev/null"] {
        failed(data.calibrate(device, "never", &[]), 10);
        failed(itp(["score", device, &stats, device]), 10);
        failed(itp(["inspect", device]), 10);
        failed(data.calibrate("train", "never", &["--labels", device]), 10);
    }
}

#[test]
fn nested_folders_belong_to_the_first_level() {
    assert_eq!(calibrated(&fault("nested"), &[])["classes"], 4);
    let set = Dataset::open(fault("nested")).unwrap();
    assert_eq!((set.classes(), set.entries().len()), (&CLASSES.map(str::to_owned)[..], 24));
}

/// All images of the holdout are accepted when they are scored again, and none has a small p-value.
fn accepted_again(holdout: &str) {
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("s.itp.safetensors").display().to_string();
    let (model, train) = (fault("../plain.onnx"), fault("train"));
    let args = ["calibrate", &model, &train, "-o", &stats, "--holdout", holdout];
    done(itp(args.into_iter().chain(PREPROCESS)));
    for score in ["itp", "energy", "msp", "held_t", "knn"] {
        let out = itp(["score", &model, &stats, holdout, "--json", "--score", score]);
        if score == "knn" {
            // Its tensor was not asked for.
            failed(out, 4);
            continue;
        }
        let lines = json_lines(&done(out));
        assert!(lines.len() >= 20);
        for line in &lines {
            assert_eq!(line["inDistribution"], true, "{score}: {line}");
            assert_eq!(line["pValue"], 1.0, "{score}: {line}");
            assert!(line["score"].as_f64().unwrap() >= line["threshold"].as_f64().unwrap());
        }
    }
}

#[test]
fn equal_images_of_a_holdout_are_all_accepted_again() {
    accepted_again(&fault("twenty_equal"));
    let data = Data::new(1);
    for seed in 0..5 {
        let name = format!("equal/{seed}");
        for i in 0..20 {
            data.image(&format!("{name}/{}/{i}.png", CLASSES[i % 4]), 17 + 1000 * seed);
        }
        accepted_again(&data.path(&name));
    }
}

#[test]
fn archives_that_are_cut_off_encrypted_or_compressed_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, bytes: &[u8]| {
        let path: PathBuf = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        Dataset::open(&path).unwrap_err().message().to_owned()
    };
    let tar = std::fs::read(fault("twice.tar")).unwrap();
    assert!(refused("cut.tar", &tar[..tar.len() / 3]).contains("archive"));
    assert!(refused("x.tar.gz", b"\x1f\x8b").contains("unpack"));
    assert!(refused("x.7z", b"7z").contains("unpack"));
    assert!(refused("x.zip", b"no archive").contains("zip"));
    assert!(refused("x.parquet", b"no table").contains("Parquet"));
    assert!(refused("photo.heic", b"\0\0\0\x18ftypheic\0\0\0\0").contains("neither"));
    std::fs::create_dir(folder.path().join("dir.png")).unwrap();
    let error = Dataset::open(folder.path().join("dir.png")).unwrap_err();
    assert!(error.message().contains("this is a folder"), "{error}");
}
