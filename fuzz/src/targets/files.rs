//! Images, archives and lists of images.

use std::sync::OnceLock;

use itp_ood::{ErrorKind, ImageView, PixelFormat, Preprocess};
use itp_ood_cli::dataset::{Dataset, decode};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::seeds;

/// The block that tar files are made of.
const BLOCK: usize = 512;

/// Decodes an image and makes a model's input of it.
pub fn image(file: &[u8]) -> &'static str {
    let Ok(pixels) = decode(file) else { return "refused" };
    let Ok(preprocess) = Preprocess::preset("imagenet") else { return "failed" };
    let format = match pixels.channels {
        1 => PixelFormat::Grey8,
        4 => PixelFormat::Rgba8,
        _ => PixelFormat::Rgb8,
    };
    // Large ones take long, and are resized like the others.
    if pixels.data.len() > 1 << 22 {
        return "large";
    }
    let view = ImageView::new(&pixels.data, pixels.width, pixels.height, format);
    match view.and_then(|view| preprocess.apply(&view)) {
        Ok(input) if input.iter().all(|value| value.is_finite()) => "ran",
        Ok(_) => "infinite",
        Err(error) if error.kind() == ErrorKind::Image => "refused",
        Err(_) => "failed",
    }
}

/// Opens a set of images and reads the first of them.
pub fn set(file: &[u8], extension: &str) -> &'static str {
    static FOLDER: OnceLock<std::path::PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("itp-fuzz-{}", std::process::id()));
        // What can't be written shows below.
        let _ = std::fs::create_dir_all(&folder);
        folder
    });
    let path = folder.join(format!("set.{extension}"));
    if std::fs::write(&path, file).is_err() {
        return "failed";
    }
    let outcome = match Dataset::open(&path) {
        Ok(set) => {
            let read = set.entries().iter().take(3).map(|entry| set.read(entry));
            if read.filter(Result::is_ok).count() > 0 { "ran" } else { "opened" }
        }
        Err(_) => "refused",
    };
    let _ = std::fs::remove_dir_all(folder);
    let _ = std::fs::create_dir_all(folder);
    outcome
}

/// Tar files of some images, in folders and not, beside those kept as faults.
pub fn tars() -> Result<Vec<Vec<u8>>, String> {
    let mut tars = seeds::of_extension("tests/faults/files", "tar")?;
    let images = seeds::images()?;
    for depth in 0..3 {
        let mut tar = Vec::new();
        for (index, image) in images.iter().filter(|image| image.len() < 1000).take(4).enumerate() {
            let folder = ["", "cat/", "train/dog/"][depth];
            tar.extend(header(&format!("{folder}{index}.png"), image.len(), b'0'));
            tar.extend_from_slice(image);
            tar.resize(tar.len().next_multiple_of(BLOCK), 0);
        }
        tar.extend(header("link.png", 0, b'2'));
        tar.resize(tar.len() + 2 * BLOCK, 0);
        tars.push(tar);
    }
    Ok(tars)
}

fn header(name: &str, size: usize, kind: u8) -> Vec<u8> {
    let mut block = vec![0; BLOCK];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    block[136..147].copy_from_slice(b"00000000000");
    block[156] = kind;
    if kind == b'2' {
        block[157..162].copy_from_slice(b"0.png");
    }
    block[257..265].copy_from_slice(b"ustar\x0000");
    mend(&mut block);
    block
}

/// Mends the checksums of most headers, or a changed one would only be refused.
pub fn mend_checksums(tar: &mut [u8], random: &mut ChaCha8Rng) {
    for block in tar.as_chunks_mut::<BLOCK>().0 {
        if block[257..262] == *b"ustar" && random.random_ratio(9, 10) {
            mend(block);
        }
    }
}

fn mend(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

/// Lists in the forms that are read: paths, paths with classes, tables.
pub fn lists() -> Vec<Vec<u8>> {
    let texts = [
        "a.png\nb.jpg\n# comment\n\nc d.webp\n",
        "cat/a.png 0\ncat/b.png 0\ndog/c.png 1\n",
        "a.png\tcat\nb.png\tdog\n",
        "path,label\na.png,cat\n\"b, c.png\",dog\n",
        "filename;class\r\na.png;0\r\nb.png;12\r\n",
        "\u{feff}image,class_name\nä.png,\"ein \"\"Hund\"\"\"\n",
        "/etc/passwd\n../../x.png\nset.txt\nset.txt/y.png\n",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
