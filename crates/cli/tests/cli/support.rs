//! Made-up images, and runs of the command line on them.

use std::path::PathBuf;
use std::process::{Command, Output};

use image::{Rgb, RgbImage};
use itp_ood::Stats;
use serde_json::Value;
use tempfile::TempDir;

pub const CLASSES: [&str; 4] = ["ant", "bee", "cat", "dog"];
/// What tests/models/gemm.onnx takes: 3 x 8 x 8.
pub const PREPROCESS: [&str; 8] =
    ["--resize", "8", "--crop", "8", "--mean", ".5,.5,.5", "--std", ".25,.25,.25"];

pub fn itp<'a>(args: impl IntoIterator<Item = &'a str>) -> Output {
    Command::new(env!("CARGO_BIN_EXE_itp")).args(args).output().unwrap()
}

/// Standard output of a run that must succeed.
#[track_caller]
pub fn done(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {errors}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of a run that must fail with an exit code.
#[track_caller]
pub fn failed(output: Output, code: i32) -> String {
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{errors}");
    errors
}

pub fn model(name: &str) -> String {
    format!("{}/../../tests/models/{name}.onnx", env!("CARGO_MANIFEST_DIR"))
}

pub fn odd_image(name: &str) -> String {
    format!("{}/../../tests/images/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A folder with made-up images, `per_class` of each class.
pub struct Data {
    pub folder: TempDir,
}

impl Data {
    pub fn new(per_class: u32) -> Self {
        let data = Self { folder: tempfile::tempdir().unwrap() };
        for (class, name) in CLASSES.iter().enumerate() {
            for i in 0..per_class {
                data.image(&format!("train/{name}/{i:03}.png"), class as u32 * 1000 + i);
            }
        }
        data
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    pub fn image(&self, name: &str, seed: u32) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_fn(9, 11, |x, y| {
            let value =
                |c: u32| (seed / 1000 * 60 + x * 7 * c + y * (seed % 7) * 5 + seed % 13 * 11) % 256;
            Rgb([value(1) as u8, value(2) as u8, value(3) as u8])
        })
        .save(path)
        .unwrap();
    }

    /// A folder of images of no class.
    pub fn noise(&self) -> String {
        for i in 0..10 {
            self.image(&format!("noise/{i}.png"), 7777 + i * 991);
        }
        self.path("noise")
    }

    /// Runs `itp calibrate` on gemm.onnx with the usual preprocessing.
    pub fn calibrate(&self, images: &str, output: &str, more: &[&str]) -> Output {
        let (model, images, output) = (model("gemm"), self.path(images), self.path(output));
        let args = ["calibrate", &model, &images, "-o", &output];
        itp(args.into_iter().chain(PREPROCESS).chain(more.iter().copied()))
    }

    pub fn stats(&self, name: &str) -> Stats {
        Stats::from_bytes(&self.read(name)).unwrap()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Calibrates on all images, with the same ones held out and the published settings.
    pub fn calibrated(&self) -> String {
        let holdout = self.path("train");
        done(self.calibrate("train", "all.itp.safetensors", &["--holdout", &holdout, "--no-tune"]));
        self.path("all.itp.safetensors")
    }

    /// The names of all files directly in the folder.
    pub fn files(&self) -> Vec<PathBuf> {
        let items = std::fs::read_dir(self.folder.path()).unwrap();
        items.map(|item| item.unwrap().path()).filter(|path| path.is_file()).collect()
    }
}

pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
