//! Tuning without a model: the pseudo-OOD images, the plan, the sweep, the rules, bad input.

mod common;

use std::sync::Arc;

use common::{Golden, close};
use itp_ood::tune::candidates::{self, Candidates};
use itp_ood::tune::pseudo::Kind;
use itp_ood::tune::{Rule, Setting, TuneOptions, Tuner};
use itp_ood::{ErrorKind, FeatureDetector, Options, Pixels};
use ndarray::{Array1, Array2, ArrayView1};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use sha2::{Digest, Sha256};

fn picture(width: u32, height: u32, channels: usize, salt: u32) -> Pixels {
    let data = (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| (0..channels as u32).map(move |c| (x, y, c))))
        .map(|(x, y, c)| ((x * 7 + y * 3 + c * 50 + (x * y * (salt + 1)) % 97) % 256) as u8)
        .collect();
    Pixels { data, width, height, channels }
}

fn make(kind: Kind, size: (u32, u32, usize), seed: u64) -> Pixels {
    let (width, height, channels) = size;
    let image = picture(width, height, channels, 0);
    let partner = picture(width, height, channels, 5);
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    kind.make(&image, Some(&partner), &mut rng).unwrap()
}

#[test]
fn every_kind_takes_every_size_and_changes_the_image() {
    for size in
        [(32, 32, 3), (28, 28, 1), (31, 17, 3), (17, 31, 1), (4, 4, 3), (3, 5, 3), (1, 1, 1)]
    {
        let image = picture(size.0, size.1, size.2, 0);
        for kind in Kind::ALL {
            let made = make(kind, size, 1);
            let shape = |p: &Pixels| (p.width, p.height, p.channels, p.data.len());
            assert_eq!(shape(&made), shape(&image), "{} at {size:?}", kind.name());
            if size.0 >= 17 {
                assert_ne!(made.data, image.data, "{} at {size:?}", kind.name());
            }
        }
    }
}

/// The same bytes on every platform and for ever: what is compared with WebAssembly, too.
#[test]
fn the_seed_fixes_the_bytes() {
    let mut all = Sha256::new();
    for kind in Kind::ALL {
        for size in [(32, 32, 3), (28, 28, 1), (31, 17, 3)] {
            let made = make(kind, size, 7);
            assert_eq!(made.data, make(kind, size, 7).data);
            all.update(&made.data);
        }
    }
    let hash: String = all.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, include_str!("golden/pseudo.sha256").trim());
}

#[test]
fn kinds_are_what_they_say() {
    let size = (32, 32, 3);
    let image = picture(32, 32, 3, 0);
    let partner = picture(32, 32, 3, 5);
    let at = |p: &Pixels, x: usize, y: usize| p.data[(y * 32 + x) * 3..][..3].to_vec();
    let sorted = |p: &Pixels| {
        let mut pixels: Vec<_> = p.data.as_chunks::<3>().0.to_vec();
        pixels.sort();
        pixels
    };
    for kind in [Kind::Jigsaw2, Kind::Jigsaw4, Kind::PixelShuffle, Kind::Rot90, Kind::Rot180] {
        assert_eq!(sorted(&make(kind, size, 3)), sorted(&image), "{} moves pixels", kind.name());
    }
    assert_eq!(at(&make(Kind::Rot180, size, 0), 3, 4), at(&image, 28, 27));
    let turns: Vec<_> = (0..8).map(|seed| at(&make(Kind::Rot90, size, seed), 3, 4)).collect();
    for expected in [at(&image, 4, 28), at(&image, 27, 3)] {
        assert!(turns.contains(&expected), "both turns occur");
    }
    assert!(make(Kind::Invert, size, 0).data.iter().zip(&image.data).all(|(a, b)| a + b == 255));
    let mixed = make(Kind::Mixup, size, 0);
    for ((&m, &a), &b) in mixed.data.iter().zip(&image.data).zip(&partner.data) {
        assert!((f64::from(m) - (f64::from(a) + f64::from(b)) / 2.0).abs() <= 0.5);
    }
    let halves: Vec<_> = (0..8).map(|seed| make(Kind::Cutmix, size, seed)).collect();
    for made in &halves {
        assert_eq!(at(made, 2, 2), at(&image, 2, 2));
        assert_eq!(at(made, 30, 30), at(&partner, 30, 30));
    }
    assert!(halves.iter().any(|made| at(made, 30, 2) == at(&partner, 30, 2)), "a right half");
    assert!(halves.iter().any(|made| at(made, 2, 30) == at(&partner, 2, 30)), "a lower half");
    let grey = make(Kind::Cutout, size, 4).data;
    let cut = grey.as_chunks::<3>().0.iter().filter(|&&pixel| pixel == [125, 123, 114]).count();
    assert!((400..410).contains(&cut), "a square of 20 pixels: {cut}");
    let tile = make(Kind::Tile, size, 4);
    assert_eq!(at(&tile, 1, 2), at(&tile, 25, 18));
    // Deviations from the mean: a fifth for contrast, about 64 more for noise before clipping.
    let spread = |p: &Pixels| Array1::from_iter(p.data.iter().map(|&v| f64::from(v))).std(0.0);
    assert!(spread(&make(Kind::Contrast, size, 0)) < 0.5 * spread(&image));
    assert!(spread(&make(Kind::Blur, size, 0)) < 0.8 * spread(&image));
    let flat = Pixels { data: vec![128; 32 * 32 * 3], ..image.clone() };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let noisy = Kind::Noise.make(&flat, None, &mut rng).unwrap();
    assert!((spread(&noisy) - 63.75).abs() < 4.0, "{}", spread(&noisy));
    for kind in [Kind::Blur, Kind::Phase, Kind::Contrast, Kind::Zoom] {
        assert_eq!(kind.make(&flat, None, &mut rng).unwrap().data, flat.data, "{}", kind.name());
    }
    // The partner's amplitudes, of which the first is the mean.
    let mean = |p: &Pixels| p.data.iter().map(|&v| f64::from(v)).sum::<f64>() / 3072.0;
    assert!((mean(&make(Kind::Swap, size, 0)) - mean(&partner)).abs() < 6.0);
}

#[test]
fn pictures_that_do_not_fit_are_refused() {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let image = picture(8, 8, 3, 0);
    let broken = Pixels { data: vec![0; 5], ..image.clone() };
    for (kind, image, partner) in [
        (Kind::Mixup, &image, None),
        (Kind::Swap, &image, Some(picture(8, 9, 3, 0))),
        (Kind::Cutmix, &image, Some(picture(8, 8, 1, 0))),
        (Kind::Cutmix, &image, Some(broken.clone())),
        (Kind::Invert, &broken, None),
    ] {
        let error = kind.make(image, partner.as_ref(), &mut rng).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Image, "{error}");
    }
}

/// A tuner over the golden features: what is made of an image are features far from its class.
fn tuner(options: TuneOptions, images: usize) -> (Tuner, Vec<usize>) {
    let golden = Golden::load();
    let features = golden.f32_matrix("train_features");
    let classes: Vec<usize> = golden.i64s("train_labels").iter().map(|&k| k as usize).collect();
    let mut tuner = Tuner::from_head(Arc::new(golden.head()), golden.stats(), options).unwrap();
    for (image, &class) in classes.iter().enumerate().take(images) {
        tuner.add_holdout(image, Some(class), features.row(image)).unwrap();
    }
    (tuner, classes)
}

fn made_features(at: usize) -> Array1<f32> {
    let golden = Golden::load();
    let features = golden.f32_matrix("test_features");
    // Rows from 48 on are the golden file's OOD images.
    features.row(48 + at % 48).to_owned()
}

#[test]
fn the_plan_is_seeded_and_balanced() {
    let options = TuneOptions { per_kind: 20, ..TuneOptions::default() };
    let (tuner_a, classes) = tuner(options, 400);
    let tasks = tuner_a.tasks().unwrap();
    assert_eq!(tasks.len(), 16 * 20);
    assert_eq!(tasks, tuner(options, 400).0.tasks().unwrap());
    assert_ne!(tasks, tuner(TuneOptions { seed: 1, ..options }, 400).0.tasks().unwrap());
    for kind in Kind::ALL {
        let of_kind: Vec<_> = tasks.iter().filter(|task| task.kind == kind).collect();
        for class in 0..5 {
            let n = of_kind.iter().filter(|task| classes[task.image] == class).count();
            assert_eq!(n, 4, "{} of class {class}", kind.name());
        }
        for task in of_kind {
            assert_eq!(task.partner.is_some(), kind.needs_partner());
            assert!(task.partner.is_none_or(|other| classes[other] != classes[task.image]));
        }
    }
    let image = picture(16, 16, 3, 0);
    let noise: Vec<_> = tasks.iter().filter(|task| task.kind == Kind::Noise).collect();
    let made = |at: usize| noise[at].make(&image, None).unwrap().data;
    assert_eq!(made(0), made(0));
    assert_ne!(made(0), made(1), "every image has its own noise");
}

#[test]
fn the_sweep_agrees_with_the_scores() {
    let golden = Golden::load();
    let features = golden.f32_matrix("test_features");
    let detector = FeatureDetector::new(golden.head(), golden.stats()).unwrap();
    let candidates =
        Candidates::new(detector.head(), detector.stats(), 1.0, features.view()).unwrap();
    let settings = candidates.settings();
    assert_eq!(settings.len(), 1 + 7 * 11 + 16 + 9);
    let all: Vec<Vec<f64>> =
        features.outer_iter().map(|row| candidates.scores(row).unwrap()).collect();
    for (column, setting) in settings.iter().enumerate() {
        let (score, options) = match *setting {
            Setting::Energy {} => ("energy", Options::default()),
            Setting::Itp { p, lambda } => {
                ("itp", Options::default().with("p", p).unwrap().with("lambda", lambda).unwrap())
            }
            Setting::Held { lambda } => {
                ("held", Options::default().with("heldLambda", lambda).unwrap())
            }
            Setting::React { clip, .. } => {
                for (row, scores) in features.outer_iter().zip(&all) {
                    let clipped = row.mapv(|h| h.min(clip as f32)).insert_axis(ndarray::Axis(0));
                    let energy = Options::default().score("energy");
                    let expected = detector.scores(clipped.view(), &energy).unwrap()[0];
                    close(scores[column], expected, 1e-5, "react");
                }
                continue;
            }
            Setting::HeldT { .. } | Setting::Other { .. } => unreachable!("not in this sweep"),
        };
        let options = options.score(score);
        let expected = detector.scores(features.view(), &options).unwrap();
        for (found, expected) in all.iter().zip(expected) {
            assert!(
                (found[column] - expected).abs() < 1e-5 * expected.abs().max(1.0),
                "{setting}: {} is not {expected}",
                found[column]
            );
        }
    }
}

#[test]
fn auroc_counts_pairs_and_half_of_ties() {
    let id = [1.0, 2.0, 2.0, 3.0];
    let mut brute = 0.0;
    let ood = [0.5, 2.0, 3.5];
    for i in id {
        for o in ood {
            brute += if i > o {
                1.0
            } else if i == o {
                0.5
            } else {
                0.0
            };
        }
    }
    close(candidates::auroc(&id, ood.into_iter()), 100.0 * brute / 12.0, 1e-12, "auroc");
}

#[test]
fn picks_are_written_with_scores_and_a_report() {
    for rule in [Rule::R1, Rule::RStar] {
        let options = TuneOptions { per_kind: 48, rule, ..TuneOptions::default() };
        let (mut tuner, _) = tuner(options, 400);
        for (at, task) in tuner.tasks().unwrap().iter().enumerate() {
            tuner.add(task, made_features(at).view()).unwrap();
        }
        let (stats, report) = tuner.finish().unwrap();
        let scores: Vec<_> = report.families.iter().map(|family| family.score).collect();
        assert_eq!(scores, ["energy", "itp", "react", "held", "held_t"]);
        assert_eq!(
            report.families.iter().map(|f| f.tried.len()).sum::<usize>(),
            1 + 77 + 16 + 9 + 99
        );
        let energy = report.families[0].tried[0].clone();
        for family in &report.families {
            let pick = family.pick(rule);
            let allowed = |tried: &&itp_ood::tune::report::Candidate| {
                rule == Rule::R1 || tried.near_mean >= energy.near_mean - 1.0
            };
            let best = family.tried.iter().filter(allowed).map(|tried| tried.mean);
            let best = best.fold(f64::NEG_INFINITY, f64::max);
            if family.score == "itp" && best < energy.mean {
                assert_eq!(family.r1, 0, "as near to Energy as ITP comes");
                continue;
            }
            assert_eq!(pick.mean, best, "{}", family.score);
        }
        let Setting::Itp { p, lambda } = report.family("itp").unwrap().pick(rule).setting else {
            panic!("not ITP's")
        };
        let of = |name| stats.settings().get(name);
        assert_eq!((of("itp.p"), of("itp.lambda")), (Some(p), Some(lambda)));
        let Setting::HeldT { lambda, a, .. } = report.family("held_t").unwrap().pick(rule).setting
        else {
            panic!("not HELD+T's")
        };
        assert_eq!((of("held.lambda"), of("held_t.a")), (Some(lambda), Some(a)));
        assert!(of("react.clip").is_some());
        for score in ["energy", "itp", "held", "held_t", "cadref"] {
            assert_eq!(stats.id_scores()[score].len(), 400, "{score}");
        }
        let again = itp_ood::Stats::from_bytes(&stats.to_bytes().unwrap()).unwrap();
        for (name, value) in stats.settings().hyperparameters() {
            // JSON may lose the last bit.
            let found = again.settings().get(name).unwrap();
            assert!(found == value || (found - value).abs() < 1e-12, "{name}: {found}");
        }
        // HELD+T's mean in the report is what its stored settings give.
        let detector = FeatureDetector::new(Golden::load().head(), stats).unwrap();
        let held_t = Options::default().score("held_t");
        let found = detector.detect(made_features(0).view(), &held_t).unwrap();
        assert!(found.threshold.is_some());
        let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
        assert_eq!(json["families"][1]["tried"][0]["setting"]["lambda"], "inf");
        assert_eq!(json["kinds"][2], "pixels");
        // The mean is weighted by the labels that a kind changes.
        assert!(
            report.weights.len() == 16 && report.weights.iter().all(|w| (0.0..=1.0).contains(w))
        );
        let sum: f64 = report.weights.iter().sum();
        let weighted = report.weights.iter().zip(&energy.auroc).map(|(w, auroc)| w * auroc);
        close(energy.mean, weighted.sum::<f64>() / sum, 1e-9, "weighted mean");
        let text = report.to_markdown();
        for word in ["## Picks", "## itp against each kind", "jigsaw2", "held-out images"] {
            assert!(text.contains(word), "{word} is missing");
        }
    }
}

#[test]
fn the_order_of_work_does_not_matter() {
    let run = |backwards: bool| {
        let options = TuneOptions { per_kind: 5, ..TuneOptions::default() };
        let golden = Golden::load();
        let features = golden.f32_matrix("train_features");
        let classes = golden.i64s("train_labels");
        let mut tuner = Tuner::from_head(Arc::new(golden.head()), golden.stats(), options).unwrap();
        let mut order: Vec<usize> = (0..400).collect();
        if backwards {
            order.reverse();
        }
        for image in order {
            let class = Some(classes[image] as usize);
            tuner.add_holdout(image, class, features.row(image)).unwrap();
        }
        let mut tasks: Vec<_> = tuner.tasks().unwrap().into_iter().enumerate().collect();
        if backwards {
            tasks.reverse();
        }
        for (at, task) in tasks {
            tuner.add(&task, made_features(at).view()).unwrap();
        }
        tuner.finish().unwrap()
    };
    let (stats, report) = run(false);
    let (stats_again, report_again) = run(true);
    assert_eq!(report, report_again);
    assert_eq!(stats.to_bytes().unwrap(), stats_again.to_bytes().unwrap());
}

#[test]
fn bad_input_is_named() {
    let options = TuneOptions::default();
    let golden = Golden::load();
    let features = golden.f32_matrix("train_features");
    let classes = golden.i64s("train_labels");

    // One class.
    let (mut one, _) = tuner(options, 0);
    for image in (0..400).filter(|&image| classes[image] == 2) {
        one.add_holdout(image, Some(2), features.row(image)).unwrap();
    }
    let error = one.tasks().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.message().contains("at least two"), "{error}");
    assert_eq!(one.finish().unwrap_err().kind(), ErrorKind::Data);

    // None at all, and images without what is made of them.
    assert_eq!(tuner(options, 0).0.tasks().unwrap_err().kind(), ErrorKind::Data);
    let error = tuner(options, 400).0.finish().unwrap_err();
    assert!(error.message().contains("jigsaw2"), "{error}");

    // Ten images: it works, and says what that means.
    let (mut ten, _) = tuner(options, 10);
    let tasks = ten.tasks().unwrap();
    assert_eq!(tasks.len(), 16 * 10);
    for (at, task) in tasks.iter().enumerate() {
        ten.add(task, made_features(at).view()).unwrap();
    }
    let (_, report) = ten.finish().unwrap();
    let warnings = report.warnings.join("\n");
    assert!(warnings.contains("only 10 held-out images"), "{warnings}");
    assert!(warnings.contains("10 instead of 100 pseudo-OOD images"), "{warnings}");

    // Unusable images, classes, options, another model's statistics.
    let (mut t, _) = tuner(options, 20);
    let short = Array1::<f32>::zeros(3);
    let nan = Array1::from_elem(24, f32::NAN);
    let ok: ArrayView1<f32> = features.row(0);
    assert_eq!(t.add_holdout(9, Some(0), short.view()).unwrap_err().kind(), ErrorKind::Features);
    assert_eq!(t.add_holdout(9, Some(0), nan.view()).unwrap_err().kind(), ErrorKind::Features);
    assert_eq!(t.add_holdout(9, Some(5), ok).unwrap_err().kind(), ErrorKind::Data);
    let task = t.tasks().unwrap()[0];
    assert_eq!(t.add(&task, short.view()).unwrap_err().kind(), ErrorKind::Features);
    t.add_holdout(21, None, ok).unwrap();
    assert!(t.warnings().join("\n").contains("without a class"));
    let none = TuneOptions { per_kind: 0, ..options };
    let error = Tuner::from_head(Arc::new(golden.head()), golden.stats(), none).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Options);
    let few = golden.stats().with_labels(vec!["one".to_owned()]);
    let error = FeatureDetector::new(golden.head(), few).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    assert!(error.message().contains("1 labels"), "{error}");
    let other = itp_ood::Head::new(Array2::zeros((5, 23)), Array1::zeros(5)).unwrap();
    let error = Tuner::from_head(Arc::new(other), golden.stats(), options).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Mismatch);
}

/// Pseudo-OOD images that only Energy turns away: their features have low logits, but nothing that
/// could be pruned helps.
#[test]
fn itp_is_never_stored_with_less_than_energy_reaches() {
    let options = TuneOptions { per_kind: 30, trained_on: true, ..TuneOptions::default() };
    let (mut tuner, _) = tuner(options, 400);
    for (at, task) in tuner.tasks().unwrap().iter().enumerate() {
        let features = Array1::from_elem(24, 1e-3 * (1 + at % 7) as f32);
        tuner.add(task, features.view()).unwrap();
    }
    let (stats, report) = tuner.finish().unwrap();
    assert!(stats.trained_on(), "as told");
    let mean = |score: &str| report.family(score).unwrap().pick(Rule::R1).mean;
    if mean("itp") < mean("energy") {
        assert_eq!(stats.settings().score, "energy");
    } else {
        assert_eq!(stats.settings().score, "itp");
    }
    let warnings = report.warnings.join("\n");
    let said = warnings.contains("ITP tells no pseudo-OOD images apart");
    assert_eq!(said, mean("itp") <= mean("energy"), "{warnings}");
    // The same for what a reader of the file sees.
    let again = itp_ood::Stats::from_bytes(&stats.to_bytes().unwrap()).unwrap();
    assert!(again.trained_on());
}
