//! Wrong inputs and interrupts: exit codes, and no file left behind.

use std::process::Command;

use crate::support::*;

#[test]
fn every_wrong_input_has_its_exit_code_and_leaves_no_file() {
    let data = Data::new(3);
    let stats = data.calibrated();
    let before = data.files().len();
    let (gemm, image, images) = (model("gemm"), data.path("train/ant/000.png"), data.path("train"));
    let out = data.path("out.itp.safetensors");

    failed(itp(["calibrate"]), 2);
    failed(itp(["nonsense"]), 2);

    // Models: empty, random, truncated, with a single class.
    let onnx = std::fs::read(&gemm).unwrap();
    for (name, bytes) in
        [("empty", &b""[..]), ("random", b"\x12\x99\x07random"), ("cut", &onnx[..onnx.len() / 2])]
    {
        let path = data.path(&format!("train/{name}.onnx"));
        std::fs::write(&path, bytes).unwrap();
        failed(itp(["inspect", &path]), 3);
        std::fs::remove_file(path).unwrap();
    }
    failed(itp(["inspect", &model("heads/one_class")]), 3);

    // Stats files: truncated, and of another model.
    let bytes = std::fs::read(&stats).unwrap();
    for len in [0, 7, bytes.len() / 2, bytes.len() - 1] {
        let path = data.path("train/cut.itp.safetensors");
        std::fs::write(&path, &bytes[..len]).unwrap();
        failed(itp(["score", &gemm, &path, &image]), 4);
        std::fs::remove_file(path).unwrap();
    }
    let message = failed(itp(["score", &model("matmul"), &stats, &image]), 5);
    assert!(message.matches("SHA-256").count() >= 1, "{message}");

    // Preprocessing and settings.
    let with = |more: &[&str]| {
        let args = ["calibrate", &gemm, &images, "-o", &out];
        itp(args.into_iter().chain(more.iter().copied()))
    };
    let message = failed(with(&[]), 8);
    assert!(message.contains("--preset"), "{message}");
    failed(with(&["--preset", "nonsense"]), 8);
    failed(with(&["--preset", "cifar", "--std", "1,0,1"]), 8);
    failed(with(&["--preset", "cifar", "--std", "1,nan,1"]), 8);
    failed(with(&["--preset", "cifar", "--mean", "1,2"]), 8);
    failed(with(&["--preset", "cifar"]), 5); // 32 x 32 where the model takes 8 x 8
    failed(with(&[&PREPROCESS[..], &["--p", "101"]].concat()), 8);
    failed(with(&[&PREPROCESS[..], &["--lambda", "-1"]].concat()), 8);
    failed(with(&[&PREPROCESS[..], &["--threads", "0"]].concat()), 8);
    failed(itp(["score", &gemm, &stats, &image, "--score", "nonsense"]), 8);

    // Images.
    std::fs::create_dir(data.path("train/void")).unwrap();
    failed(data.calibrate("train/void", "out.itp.safetensors", &[]), 9);
    std::fs::remove_dir(data.path("train/void")).unwrap();
    let message = failed(data.calibrate("train/ant", "out.itp.safetensors", &[]), 9);
    assert!(message.contains("no classes"), "{message}");
    std::fs::rename(data.path("train/dog"), data.path("dog")).unwrap();
    let message = failed(data.calibrate("train", "out.itp.safetensors", &[]), 9);
    assert!(
        message.contains("have 3 classes") && message.contains("model has 4 classes"),
        "{message}"
    );
    std::fs::rename(data.path("dog"), data.path("train/wolf")).unwrap();
    std::fs::write(data.path("train/labels.txt"), CLASSES.join("\n")).unwrap();
    let labels = data.path("train/labels.txt");
    let message = failed(data.calibrate("train", "out.itp.safetensors", &["--labels", &labels]), 9);
    assert!(message.contains("wolf"), "{message}");
    failed(data.calibrate("train", "out.itp.safetensors", &["--limit-per-class", "1"]), 9);

    failed(data.calibrate("nowhere", "out.itp.safetensors", &[]), 10);
    failed(itp(["inspect", &data.path("nothing.onnx")]), 10);
    failed(data.calibrate("train", "no/such/folder.safetensors", &[]), 10);
    assert_eq!(data.files().len(), before, "nothing was left behind");
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_no_file() {
    let data = Data::new(2);
    // One image many times over: half a minute of work that is stopped after a second.
    let list: String =
        (0..400_000).map(|i| format!("train/{0}/000.png\t{0}\n", CLASSES[i % 4])).collect();
    std::fs::write(data.path("long.txt"), list).unwrap();
    let before = data.files().len();
    let (kept, output, list) =
        (data.path("kept"), data.path("out.itp.safetensors"), data.path("long.txt"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_itp"))
        .args(["calibrate", &model("gemm"), &list, "-o", &output, "--features", &kept])
        .args(PREPROCESS)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // The work has begun once the first features are kept.
    let begun = || std::fs::read_dir(&kept).is_ok_and(|mut items| items.next().is_some());
    for _ in 0..300 {
        if begun() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(begun(), "the work never began");
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(data.files().len(), before);
    assert_eq!(std::fs::read_dir(&kept).unwrap().count(), 0);
}
