//! Zip archives and Parquet files.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use itp_ood_cli::dataset::Dataset;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::data::fault;
use crate::support::*;

/// Each image's class, with its file's bytes, sorted.
fn contents(path: impl AsRef<Path>) -> Vec<(String, Vec<u8>)> {
    let set = Dataset::open(path).unwrap();
    let of = |entry: &itp_ood_cli::dataset::Entry| {
        let class = entry.class.map_or(String::new(), |class| set.classes()[class].clone());
        let bytes = set.read(entry).unwrap();
        assert_eq!(bytes.len() as u64, entry.bytes);
        (class, bytes)
    };
    let mut contents: Vec<_> = set.entries().iter().map(of).collect();
    contents.sort();
    contents
}

#[test]
fn a_zip_archive_holds_what_its_folder_does() {
    let data = Data::new(4);
    let folder = contents(data.path("train"));
    for (name, method) in
        [("stored", CompressionMethod::Stored), ("deflated", CompressionMethod::Deflated)]
    {
        let path = data.path(&format!("{name}.zip"));
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        let options = SimpleFileOptions::default().compression_method(method);
        zip.add_directory("train/", options).unwrap();
        for class in CLASSES {
            for i in 0..4 {
                let name = format!("train/{class}/{i:03}.png");
                zip.start_file(&name, options).unwrap();
                zip.write_all(&data.read(&name)).unwrap();
            }
        }
        zip.finish().unwrap();
        assert_eq!(contents(&path), folder, "{name}");
        done(data.calibrate(&format!("{name}.zip"), "zip", &["--threads", "3"]));
        done(data.calibrate("train", "folder", &[]));
        assert_eq!(data.read("zip"), data.read("folder"), "{name}");
    }
}

#[test]
fn a_zip_archives_links_names_and_damages_are_handled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.zip");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    zip.start_file("ant/café.png", options).unwrap();
    zip.write_all(b"one").unwrap();
    zip.add_symlink("bee/link.png", "../ant/café.png", options).unwrap();
    zip.add_symlink("bee/lost.png", "nothing.png", options).unwrap();
    zip.start_file("cat\\windows.png", options).unwrap();
    zip.write_all(b"two").unwrap();
    zip.finish().unwrap();
    let set = Dataset::open(&path).unwrap();
    let names: Vec<&str> = set.entries().iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["ant/café.png", "bee/link.png", "cat/windows.png"]);
    assert_eq!(set.read(&set.entries()[1]).unwrap(), b"one");
    assert_eq!(set.skipped().iter().collect::<Vec<_>>(), [("link to nowhere", 1)]);

    // A member whose bytes were changed is an error of its own; the others still are read.
    let mut bytes = std::fs::read(&path).unwrap();
    let name = "ant/café.png".as_bytes();
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    // The local header ends with the lengths of the name and of an extra field.
    let extra = usize::from(u16::from_le_bytes([bytes[at - 2], bytes[at - 1]]));
    let at = at + name.len() + extra;
    bytes[at] ^= 0xFF;
    std::fs::write(&path, bytes).unwrap();
    let set = Dataset::open(&path).unwrap();
    let read: Vec<_> = set.entries().iter().map(|entry| set.read(entry).is_ok()).collect();
    assert!(read.contains(&true) && read.contains(&false), "{read:?}");
}

#[test]
fn a_parquet_file_of_hugging_face_holds_what_its_folder_does() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/datasets/huggingface.parquet");
    assert_eq!(contents(&path), contents(fault("train")));
    let set = Dataset::open(&path).unwrap();
    assert_eq!(set.classes(), CLASSES);
    assert_eq!(set.entries()[1].name, "000001/005.png");

    let data = Data::new(1);
    let (model, output) = (model("gemm"), data.path("s"));
    let run = |output: &str, images: &str| {
        let args = ["calibrate", &model, images, "-o", output, "--no-holdout"];
        done(itp(args.into_iter().chain(PREPROCESS)))
    };
    run(&output, path.to_str().unwrap());
    run(&data.path("folder"), &fault("train"));
    let (found, expected) = (data.stats("s"), data.stats("folder"));
    assert_eq!((found.labels(), found.counts()), (expected.labels(), expected.counts()));
    let difference = (found.feature_mean() - expected.feature_mean()).mapv(f32::abs).sum();
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn damaged_parquet_files_are_errors() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/datasets/huggingface.parquet");
    let whole = std::fs::read(path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let mut refused = 0;
    for at in (0..whole.len()).step_by(151).chain(whole.len() - 1500..whole.len()) {
        let mut bytes = whole.clone();
        bytes[at] = !bytes[at];
        std::fs::write(&path, bytes).unwrap();
        refused += usize::from(Dataset::open(&path).is_err());
        if at % 7 == 0 {
            std::fs::write(&path, &whole[..at]).unwrap();
            assert!(Dataset::open(&path).is_err(), "cut off at {at}");
        }
    }
    assert!(refused > 100, "{refused}");
}

/// Writes a Parquet file with columns of bytes and numbers.
fn parquet_of(path: &Path, schema: &str, columns: &[Column]) {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer =
        SerializedFileWriter::new(File::create(path).unwrap(), schema, properties).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for column in columns {
        let mut writer = group.next_column().unwrap().unwrap();
        match column {
            Column::Bytes(values) => {
                let values: Vec<ByteArray> = values.iter().map(|&v| v.into()).collect();
                writer.typed::<ByteArrayType>().write_batch(&values, None, None).unwrap();
            }
            Column::Numbers(values) => {
                writer.typed::<Int64Type>().write_batch(values, None, None).unwrap();
            }
        }
        writer.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

enum Column<'a> {
    Bytes(&'a [&'a str]),
    Numbers(&'a [i64]),
}

#[test]
fn other_layouts_of_parquet_are_read_or_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let group = "required group img { required binary bytes; }";
    let of = |set: &Dataset| -> Vec<(Vec<u8>, Option<String>)> {
        let class = |class: Option<usize>| class.map(|class| set.classes()[class].clone());
        set.entries().iter().map(|e| (set.read(e).unwrap(), class(e.class))).collect()
    };
    // Numbers stay numbers without names for them, and 10 comes after 9.
    let schema = format!("message schema {{ {group} required int64 label; }}");
    parquet_of(&path, &schema, &[Column::Bytes(&["a", "b", "c"]), Column::Numbers(&[10, 9, 0])]);
    let set = Dataset::open(&path).unwrap();
    assert_eq!(set.classes(), ["0", "9", "10"]);
    assert_eq!(of(&set)[0], (b"a".to_vec(), Some("10".to_owned())));
    // Text is a name; the images may be plain bytes.
    let schema = "message schema { required binary image; required binary class (UTF8); }";
    parquet_of(&path, schema, &[Column::Bytes(&["a", "b"]), Column::Bytes(&["dog", "ant"])]);
    let set = Dataset::open(&path).unwrap();
    assert_eq!(of(&set)[1], (b"b".to_vec(), Some("ant".to_owned())));
    // A test set whose classes are kept secret, and one without any.
    let schema = format!("message schema {{ {group} required int64 label; }}");
    parquet_of(&path, &schema, &[Column::Bytes(&["a", "b"]), Column::Numbers(&[-1, -1])]);
    assert!(Dataset::open(&path).unwrap().classes().is_empty());
    parquet_of(&path, &format!("message schema {{ {group} }}"), &[Column::Bytes(&["a"])]);
    assert!(Dataset::open(&path).unwrap().classes().is_empty());

    let refused = |schema: &str, columns: &[Column]| {
        parquet_of(&path, schema, columns);
        Dataset::open(&path).unwrap_err().message().to_owned()
    };
    let message = refused("message schema { required int64 label; }", &[Column::Numbers(&[1])]);
    assert!(message.contains("no column holds images") && message.contains("label"), "{message}");
    let message = refused(&schema, &[Column::Bytes(&["a", "b"]), Column::Numbers(&[-1, 2])]);
    assert!(message.contains("some rows have a class"), "{message}");
}
