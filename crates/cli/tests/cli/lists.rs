//! Lists and labels as spreadsheets and other systems write them.

use itp_ood_cli::dataset::Dataset;
use serde_json::Value;

use crate::data::{calibrated, fault};
use crate::support::*;

/// Names and classes of a set's images.
fn images(set: &Dataset) -> Vec<(String, String)> {
    let class = |class: Option<usize>| class.map_or(String::new(), |c| set.classes()[c].clone());
    set.entries().iter().map(|entry| (entry.name.clone(), class(entry.class))).collect()
}

#[test]
fn lists_come_with_marks_commas_quotes_and_windows_line_ends() {
    for list in ["bom.tsv", "comma.csv"] {
        assert_eq!(calibrated(&fault(list), &[])["images"], 24, "{list}");
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.png", "my photo.png", "b, c.png", "say \"hi\".png", "e\u{301}.png"] {
        std::fs::write(folder.path().join(name), name).unwrap();
    }
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("sub/d.png"), "sub/d.png").unwrap();
    let list = |name: &str, bytes: &[u8]| -> Vec<(String, String)> {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let set = Dataset::open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let read = |entry| String::from_utf8(set.read(entry).unwrap()).unwrap();
        let found: Vec<String> = set.entries().iter().map(read).collect();
        images(&set).into_iter().zip(found).map(|((_, class), file)| (file, class)).collect()
    };
    let expected = |of: &[(&str, &str)]| -> Vec<(String, String)> {
        of.iter().map(|&(file, class)| (file.to_owned(), class.to_owned())).collect()
    };
    let wide: Vec<u8> = "\u{feff}a.png\tant\r\nsub/d.png\tbee\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let two = expected(&[("a.png", "ant"), ("sub/d.png", "bee")]);
    for (name, bytes) in [
        ("utf16.txt", &wide[..]),
        ("semicolons.csv", b"path;label\r\na.png;ant\r\nsub/d.png;bee\r\n"),
        ("columns.csv", b"id,Label,split,Filename\n1,ant,train,a.png\n2,bee,test,sub/d.png\n"),
        ("quoted.tsv", b"\"a.png\"\t\"ant\"\n\n# no image\n\"sub/d.png\"\t\"bee\"\n"),
        ("windows.txt", b"a.png ant\r\nsub\\d.png   bee\r\n"),
        ("commas.txt", b"a.png, ant\nsub/d.png, bee"),
        ("empty ends.csv", b"file,class\na.png,ant\nsub/d.png,bee\n,\n,\n"),
    ] {
        assert_eq!(list(name, bytes), two, "{name}");
    }
    let spaced = expected(&[("my photo.png", "hot dog"), ("a.png", "hot dog")]);
    assert_eq!(list("spaces.txt", b"my photo.png hot dog\na.png hot dog\n"), spaced);
    assert_eq!(list("spaces.tsv", b"my photo.png\thot dog\na.png\thot dog\n"), spaced);
    let odd = expected(&[("b, c.png", "x, y"), ("say \"hi\".png", "z")]);
    assert_eq!(
        list("odd.csv", b"path,class\n\"b, c.png\",\"x, y\"\n\"say \"\"hi\"\".png\",z\n"),
        odd
    );
    let without = expected(&[("my photo.png", ""), ("b, c.png", ""), ("a.png", "")]);
    assert_eq!(list("paths.txt", b"my photo.png\nb, c.png\na.png\n"), without);
    assert_eq!(list("composed.txt", "\u{e9}.png x".as_bytes())[0].0, "e\u{301}.png");

    let refused = |bytes: &[u8]| {
        let path = folder.path().join("bad.csv");
        std::fs::write(&path, bytes).unwrap();
        Dataset::open(&path).unwrap_err().message().to_owned()
    };
    assert!(refused(b"a.png,ant\nsub/d.png\n").contains("line 2"));
    assert!(refused(b"a.png,ant,train\n").contains("3 columns"));
    assert!(refused(b"# nothing\n").contains("names no image"));
    assert!(refused(b"a.png,caf\xE9\n").contains("neither a folder"));
}

#[test]
fn labels_come_with_marks_and_accents_of_both_forms() {
    let data = Data::new(3);
    done(data.calibrate("train", "s", &["--labels", &fault("labels_bom.txt")]));
    assert_eq!(data.stats("s").labels(), CLASSES);
    // The folder's accent is decomposed, the list's composed.
    std::fs::rename(data.path("train/cat"), data.path("train/cafe\u{301}")).unwrap();
    done(data.calibrate("train", "s", &["--labels", &fault("labels_nfc.txt")]));
    assert_eq!(data.stats("s").labels()[2], "caf\u{e9}");
    // And the other way around: the stats file's labels are the folders' names.
    done(data.calibrate("train", "decomposed", &[]));
    std::fs::rename(data.path("train/cafe\u{301}"), data.path("train/caf\u{e9}")).unwrap();
    let (model, stats, images) = (model("gemm"), data.path("decomposed"), data.path("train"));
    let report = done(itp(["eval", &model, &stats, "--id", &images, "--json"]));
    assert!(serde_json::from_str::<Value>(&report).unwrap()["id"]["accuracy"].is_f64());
    // A difference that can be seen is shown.
    std::fs::rename(data.path("train/caf\u{e9}"), data.path("train/Caf\u{e9}")).unwrap();
    let labels = fault("labels_nfc.txt");
    let message = failed(data.calibrate("train", "never", &["--labels", &labels]), 9);
    assert!(
        message.contains("there is \"caf\u{e9}\", which differs from \"Caf\u{e9}\""),
        "{message}"
    );
}

#[test]
fn labels_of_another_number_than_the_models_classes_are_refused() {
    let data = Data::new(3);
    let stats = data.calibrated();
    let (model, train) = (model("gemm"), data.path("train"));
    let file = |name: &str, text: &str| {
        std::fs::write(data.path(name), text).unwrap();
        data.path(name)
    };
    let wrong = [
        fault("labels_bg.txt"),
        file("three", "ant\nbee\ncat\n"),
        file("one", "ant\n"),
        file("none", ""),
        file("blank between", "ant\n\nbee\ncat\ndog\n"),
        file("eight", "ant\nbee\ncat\ndog\nant2\nbee2\ncat2\ndog2\n"),
    ];
    for labels in &wrong {
        let labels = ["--labels", labels.as_str()];
        let message = failed(data.calibrate("train", "never", &labels), 5);
        assert!(message.contains("the model has 4 classes"), "{message}");
        let eval = ["eval", &model, &stats, "--id", &train].into_iter();
        failed(itp(eval.clone().chain(labels)), 5);
        let samples = ["--ood", &train, "--samples", &train];
        failed(itp(eval.chain(labels).chain(samples)), 5);
        let plain = ["eval", &model, "--id", &train].into_iter().chain(labels).chain(PREPROCESS);
        failed(itp(plain), 5);
    }
    let message = failed(data.calibrate("train", "never", &["--labels", &wrong[0]]), 5);
    assert!(message.contains("background"), "{message}");
    done(data.calibrate("train", "s", &["--labels", &file("ends", "ant\nbee\ncat\ndog\n\n\n")]));
}
