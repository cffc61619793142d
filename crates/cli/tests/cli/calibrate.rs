//! `itp calibrate` and `itp merge`: the same stats file from every form of the same images.

use serde_json::Value;

use crate::support::*;

#[test]
fn calibrate_gives_the_same_bytes_from_folder_archive_and_any_number_of_threads() {
    let data = Data::new(5);
    let holdout = data.path("train");
    let text = done(data.calibrate(
        "train",
        "one.itp.safetensors",
        &["--threads", "1", "--json", "--holdout", &holdout],
    ));
    let summary: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&summary["images"], &summary["classes"]), (&20.into(), &4.into()));
    assert!(summary["threshold"].is_f64());

    let stats = data.stats("one.itp.safetensors");
    assert_eq!(stats.counts(), [5; 4]);
    assert_eq!(stats.labels(), CLASSES);
    for score in ["energy", "itp", "crp", "ftp", "msp", "mls"] {
        assert_eq!(stats.id_scores()[score].len(), 20, "{score}");
    }

    let holdout = ["--holdout", holdout.as_str()];
    done(data.calibrate(
        "train",
        "three.itp.safetensors",
        &[&["--threads", "3"], &holdout[..]].concat(),
    ));
    assert_eq!(data.read("one.itp.safetensors"), data.read("three.itp.safetensors"));

    let file = std::fs::File::create(data.path("set.tar")).unwrap();
    let mut archive = tar::Builder::new(file);
    archive.append_dir_all("deep/train", data.path("train")).unwrap();
    archive.finish().unwrap();
    done(data.calibrate("set.tar", "tar.itp.safetensors", &holdout));
    assert_eq!(data.read("one.itp.safetensors"), data.read("tar.itp.safetensors"));

    // A list with the classes in any order gives the same statistics.
    let list: String =
        (0..20).map(|i| format!("train/{0}/{1:03}.png\t{0}\n", CLASSES[i % 4], i / 4)).collect();
    std::fs::write(data.path("list.txt"), format!("# path, class\n\n{list}")).unwrap();
    done(data.calibrate("list.txt", "list.itp.safetensors", &holdout));
    assert_eq!(data.stats("list.itp.safetensors").feature_mean(), stats.feature_mean());
}

#[test]
fn kept_features_spare_the_images() {
    let data = Data::new(3);
    let kept = data.path("kept");
    let more = ["--features", kept.as_str(), "--no-holdout"];
    done(data.calibrate("train", "first.itp.safetensors", &more));
    // Same path, same length, no image any more: only the kept features can give the same result.
    let image = data.path("train/ant/000.png");
    let length = std::fs::metadata(&image).unwrap().len() as usize;
    std::fs::write(&image, vec![0; length]).unwrap();
    done(data.calibrate("train", "second.itp.safetensors", &more));
    assert_eq!(data.read("first.itp.safetensors"), data.read("second.itp.safetensors"));
    // Other preprocessing, other images or a damaged file: the image is read again, and is broken.
    let limited = ["--features", &kept, "--no-holdout", "--limit-per-class", "2", "--strict"];
    failed(data.calibrate("train", "third.itp.safetensors", &limited), 6);
    let other = ["--features", &kept, "--no-holdout", "--bicubic", "--strict"];
    failed(data.calibrate("train", "third.itp.safetensors", &other), 6);
    let file = std::fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path();
    std::fs::write(file, b"damaged").unwrap();
    failed(
        data.calibrate("train", "third.itp.safetensors", &[&more[..], &["--strict"]].concat()),
        6,
    );
}

#[test]
fn halves_merged_are_the_whole() {
    let data = Data::new(8);
    for i in 0..8 {
        for class in CLASSES {
            let half = if i % 2 == 0 { "even" } else { "odd" };
            std::fs::create_dir_all(data.path(&format!("{half}/{class}"))).unwrap();
            let name = format!("{class}/{i:03}.png");
            std::fs::copy(
                data.path(&format!("train/{name}")),
                data.path(&format!("{half}/{name}")),
            )
            .unwrap();
        }
    }
    let holdout = data.path("train");
    for half in ["even", "odd"] {
        let output = format!("{half}.itp.safetensors");
        done(data.calibrate(half, &output, &["--holdout", &holdout]));
    }
    let (even, odd) = (data.path("even.itp.safetensors"), data.path("odd.itp.safetensors"));
    let merged = data.path("merged.itp.safetensors");
    done(itp(["merge", &even, &odd, "-o", &merged]));
    data.calibrated();
    let (merged, whole) = (data.stats("merged.itp.safetensors"), data.stats("all.itp.safetensors"));
    assert_eq!((merged.counts(), merged.labels()), (whole.counts(), whole.labels()));
    for (a, b) in
        [(merged.feature_mean(), whole.feature_mean()), (merged.feature_std(), whole.feature_std())]
    {
        let difference = (a - b).mapv(f32::abs).fold(0.0, |a: f32, &b| a.max(b));
        assert!(difference < 1e-6, "{difference}");
    }
    // Thresholds still can be made.
    assert_eq!(merged.id_features().unwrap().nrows(), 32);

    // Another model's file is refused, and says so.
    let other = data.path("other.itp.safetensors");
    let images = data.path("train");
    let args = ["calibrate", &model("matmul"), &images, "-o", &other];
    done(itp(args.into_iter().chain(PREPROCESS)));
    let message = failed(itp(["merge", &even, &other, "-o", &data.path("bad")]), 5);
    assert!(message.contains("model"), "{message}");
}

#[test]
fn moments_made_elsewhere_become_a_stats_file() {
    let data = Data::new(4);
    data.calibrated();
    let whole = data.stats("all.itp.safetensors");
    let bytes = |values: &ndarray::Array2<f32>| -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    };
    let (mean, std) = (bytes(whole.feature_mean()), bytes(whole.feature_std()));
    let view = |bytes| {
        safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![4, 6], bytes).unwrap()
    };
    let tensors = [("feature_mean", view(&mean)), ("feature_std", view(&std))];
    std::fs::write(data.path("m.safetensors"), safetensors::serialize(tensors, None).unwrap())
        .unwrap();
    let (moments, output, holdout) =
        (data.path("m.safetensors"), data.path("from.itp.safetensors"), data.path("train"));
    let run = |counts: &str| {
        let model = model("gemm");
        let args = ["calibrate", &model, "--from-moments", &moments, "--counts", counts];
        let more = ["--holdout", &holdout, "-o", &output];
        itp(args.into_iter().chain(more).chain(PREPROCESS))
    };
    done(run("4"));
    let made = data.stats("from.itp.safetensors");
    assert_eq!((made.counts(), made.labels()), (whole.counts(), whole.labels()));
    let difference = (made.feature_std() - whole.feature_std()).mapv(f32::abs).sum();
    assert!(made.feature_mean() == whole.feature_mean() && difference < 1e-5, "{difference}");
    done(run("4,5,6,7"));
    assert_eq!(data.stats("from.itp.safetensors").counts(), [4, 5, 6, 7]);
    failed(run("4,5"), 4);
    failed(run("1"), 9);
    std::fs::write(data.path("m.safetensors"), b"damaged").unwrap();
    failed(run("4"), 9);
}
