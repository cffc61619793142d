//! The evidence for docs/results-beyond.md: what tuning picks, and what that is worth on real
//! out-of-distribution images, which no choice ever sees.
//!
//! Needs `../shared` and features that `itp eval --features FOLDER` has kept; takes minutes. Run
//! `ITP_FEATURES=FOLDER cargo test --release --test beyond -- --ignored --nocapture`, where FOLDER
//! holds `c10net` and `c100net`, with the test set and the OOD sets in each.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use itp_ood::metrics::Separation;
use itp_ood::tune::candidates::{self, Candidates};
use itp_ood::tune::pseudo::{Kind, shuffle};
use itp_ood::tune::report::Report;
use itp_ood::tune::{Rule, Setting, TuneOptions, Tuner};
use itp_ood::{Calibrator, FeatureDetector, Model, Moments, Options, Preprocess, Result, Stats};
use itp_ood_cli::dataset::{Dataset, decode};
use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use safetensors::SafeTensors;

struct Net {
    name: &'static str,
    folder: &'static str,
    model: &'static str,
    moments: &'static str,
    per_class: u64,
    id: &'static str,
    other: &'static str,
    paper: (f64, f64),
}

const NETS: [Net; 2] = [
    Net {
        name: "CIFAR-10",
        folder: "c10net",
        model: "densenet100_cifar10.onnx",
        moments: "class_stats_cifar10.safetensors",
        per_class: 5000,
        id: "cifar10-test",
        other: "cifar100-test",
        paper: (10.0, 2.2),
    },
    Net {
        name: "CIFAR-100",
        folder: "c100net",
        model: "densenet100_cifar100.onnx",
        moments: "class_stats_cifar100.safetensors",
        per_class: 500,
        id: "cifar100-test",
        other: "cifar10-test",
        paper: (20.0, 1.6),
    },
];

const FAR: [&str; 2] = ["svhn", "textures32"];
const NEAR: [&str; 2] = ["places32", "tinyimagenet32"];
const RESAMPLES: usize = 200;

fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("ITP_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    root.join("models").is_dir().then_some(root)
}

/// Kept features of a set, and their places among its images.
fn kept(folder: &Path, set: &str) -> Option<(Array2<f32>, Vec<usize>)> {
    let starts = format!("{set}-");
    let file =
        std::fs::read_dir(folder).ok()?.filter_map(std::result::Result::ok).find(|file| {
            let name = file.file_name().into_string().unwrap_or_default();
            name.starts_with(&starts) && name.ends_with(".safetensors")
        })?;
    let bytes = std::fs::read(file.path()).ok()?;
    let tensors = SafeTensors::deserialize(&bytes).ok()?;
    let features = tensors.tensor("features").ok()?;
    let values = features.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let shape = (features.shape()[0], features.shape()[1]);
    let entries = tensors.tensor("entry").ok()?;
    let entries =
        entries.data().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as usize).collect();
    Some((Array2::from_shape_vec(shape, values).ok()?, entries))
}

fn matrix(file: &SafeTensors, name: &str) -> Array2<f32> {
    let view = file.tensor(name).unwrap();
    let values = view.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Array2::from_shape_vec((view.shape()[0], view.shape()[1]), values).unwrap()
}

/// The work of two threads: this is a test, and has no progress to show.
fn in_parallel<I: Sync, T: Send>(items: &[I], work: impl Fn(&I) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .chunks(items.len().div_ceil(2))
            .map(|part| scope.spawn(|| part.iter().map(&work).collect::<Vec<T>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

/// (FPR95, AUROC) of each set, then far, near and all, in percent.
fn figures(id: &[f64], sets: &[Vec<f64>]) -> Vec<[f64; 2]> {
    let mut rows: Vec<[f64; 2]> = sets
        .iter()
        .map(|ood| {
            let found = Separation::between(id, ood).unwrap();
            [100.0 * found.fpr95, 100.0 * found.auroc]
        })
        .collect();
    let groups = [0..2, 2..5, 0..5];
    let means = groups.map(|group| [0, 1].map(|i| mean(rows[group.clone()].iter().map(|r| r[i]))));
    rows.extend(means);
    rows
}

fn resampled(scores: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
    let draw = |n: usize, rng: &mut ChaCha8Rng| rng.next_u32() as usize % n;
    (0..scores.len()).map(|_| scores[draw(scores.len(), rng)]).collect()
}

/// A row of the table: figures, and 95 % bootstrap intervals of the means.
fn table_row(name: &str, id: &[f64], sets: &[Vec<f64>]) {
    let point = figures(id, sets);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let drawn: Vec<Vec<[f64; 2]>> = (0..RESAMPLES)
        .map(|_| {
            let id = resampled(id, &mut rng);
            let sets: Vec<_> = sets.iter().map(|set| resampled(set, &mut rng)).collect();
            figures(&id, &sets)
        })
        .collect();
    let interval = |column: usize, i: usize| {
        let mut values: Vec<f64> = drawn.iter().map(|rows| rows[column][i]).collect();
        values.sort_by(f64::total_cmp);
        (values[RESAMPLES / 40], values[RESAMPLES - 1 - RESAMPLES / 40])
    };
    let cells: Vec<String> = point
        .iter()
        .enumerate()
        .map(|(column, [fpr, auroc])| {
            if column < sets.len() {
                return format!("{fpr:.1}/{auroc:.1}");
            }
            let (f, a) = (interval(column, 0), interval(column, 1));
            format!("{fpr:.1}/{auroc:.2} ({:.1}-{:.1}/{:.2}-{:.2})", f.0, f.1, a.0, a.1)
        })
        .collect();
    println!("| {name} | {} |", cells.join(" | "));
}

struct Prepared {
    model: Model,
    stats: Stats,
    /// Places of the held-out images among the set's, their classes and features.
    holdout: Vec<(usize, usize)>,
    holdout_features: Array2<f32>,
    id_features: Array2<f32>,
    ood: Vec<(&'static str, Array2<f32>)>,
    set: Dataset,
}

fn prepare(net: &Net, shared: &Path, kept_in: &Path) -> Option<Prepared> {
    let onnx = std::fs::read(shared.join("models").join(net.model)).unwrap();
    let model = Model::load(&onnx, Preprocess::preset("cifar").unwrap()).unwrap();
    let set = Dataset::open(shared.join(format!("data/{}.tar", net.id))).unwrap();
    let (features, entries) = kept(kept_in, net.id)?;
    let mut ood = Vec::new();
    for name in FAR.into_iter().chain(NEAR).chain([net.other]) {
        match kept(kept_in, name) {
            Some((features, _)) => ood.push((name, features)),
            None => {
                println!("skipped {}: {name} has no kept features", net.name);
                return None;
            }
        }
    }
    // Half of each class is held out.
    let classes = set.classes().len();
    let mut by_class = vec![Vec::new(); classes];
    for (row, &entry) in entries.iter().enumerate() {
        by_class[set.entries()[entry].class.unwrap()].push(row);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (mut held_out, mut id) = (Vec::new(), Vec::new());
    for rows in &mut by_class {
        shuffle(rows, &mut rng);
        let (a, b) = rows.split_at(rows.len() / 2);
        held_out.extend_from_slice(a);
        id.extend_from_slice(b);
    }
    let holdout = held_out.iter().map(|&row| entries[row]);
    let holdout = holdout.map(|e| (e, set.entries()[e].class.unwrap())).collect();
    let bytes = std::fs::read(shared.join("golden").join(net.moments)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (m, s) = (matrix(&file, "feature_mean"), matrix(&file, "feature_std"));
    let moments = Moments::from_parts(vec![net.per_class; classes], m.view(), s.view()).unwrap();
    let mut calibrator = Calibrator::new(&model, set.classes().to_vec()).unwrap();
    calibrator.add_moments(&moments).unwrap();
    for &row in &held_out {
        calibrator.add_holdout(features.row(row)).unwrap();
    }
    let (p, lambda) = net.paper;
    let options = Options::default().with("p", p).unwrap().with("lambda", lambda).unwrap();
    let stats = calibrator.finish(&options).unwrap();
    let holdout_features = features.select(Axis(0), &held_out);
    let id_features = features.select(Axis(0), &id);
    Some(Prepared { model, stats, holdout, holdout_features, id_features, ood, set })
}

/// Tunes, and says how long each part took.
fn tune(prepared: &Prepared) -> Report {
    let Prepared { model, stats, holdout, holdout_features, set, .. } = prepared;
    let mut tuner = Tuner::new(model, stats.clone(), TuneOptions::default()).unwrap();
    for (&(image, class), features) in holdout.iter().zip(holdout_features.outer_iter()) {
        tuner.add_holdout(image, Some(class), features).unwrap();
    }
    let tasks = tuner.tasks().unwrap();
    let read = |image: usize| {
        let pixels = decode(&set.read(&set.entries()[image]).unwrap()).unwrap();
        model.preprocess().resized(&pixels.view().unwrap()).unwrap()
    };
    let started = Instant::now();
    let features = in_parallel(&tasks, |task| -> Result<Array1<f32>> {
        let made = task.make(&read(task.image), task.partner.map(read).as_ref())?;
        model.features_of_resized(&made)
    });
    for (task, features) in tasks.iter().zip(features) {
        tuner.add(task, features.unwrap().view()).unwrap();
    }
    let made = started.elapsed().as_secs_f64();
    let (_, report) = tuner.finish().unwrap();
    let total = started.elapsed().as_secs_f64();
    println!(
        "\n{} pseudo-OOD images made and run in {made:.0} s, {} settings rated in {:.1} s\n",
        tasks.len(),
        report.families.iter().map(|family| family.tried.len()).sum::<usize>(),
        total - made
    );
    report
}

fn all_scores(candidates: &Candidates, rows: &Array2<f32>) -> Vec<Vec<f64>> {
    let rows: Vec<_> = rows.outer_iter().collect();
    in_parallel(&rows, |row| candidates.scores(*row).unwrap())
}

/// Real AUROC, mean over the sets, of every setting in the report: what no choice has seen.
fn real(prepared: &Prepared, report: &Report) -> Vec<Vec<f64>> {
    let head = prepared.model.head();
    let rows = prepared.holdout_features.view();
    let candidates = Candidates::new(head, &prepared.stats, 1.0, rows).unwrap();
    let id = all_scores(&candidates, &prepared.id_features);
    let ood: Vec<_> = prepared.ood.iter().map(|(_, rows)| all_scores(&candidates, rows)).collect();
    let settings = candidates.settings();
    let column_of = |wanted: &Setting| match *wanted {
        Setting::HeldT { lambda, .. } => {
            settings.iter().position(|setting| *setting == Setting::Held { lambda }).unwrap()
        }
        _ => settings.iter().position(|setting| setting == wanted).unwrap(),
    };
    let rate = |setting: &Setting| {
        let column = column_of(setting);
        let a = if let Setting::HeldT { a, .. } = setting { *a } else { 0.0 };
        let score = |row: &Vec<f64>| row[column] - a * row[settings.len()];
        let mut sorted: Vec<f64> = id.iter().map(score).collect();
        sorted.sort_by(f64::total_cmp);
        mean(ood.iter().map(|set| candidates::auroc(&sorted, set.iter().map(score))))
    };
    let families = report.families.iter();
    families.map(|f| f.tried.iter().map(|tried| rate(&tried.setting)).collect()).collect()
}

/// What a detection must be told to use a setting.
fn options(setting: &Setting) -> Options {
    let set = |options: Options, (name, value)| options.with(name, value).unwrap();
    setting.hyperparameters().into_iter().fold(Options::default(), set)
}

#[test]
#[ignore = "needs ../shared and kept features (ITP_FEATURES); takes minutes"]
fn tuning_finds_settings_that_hold_on_real_images() {
    let (Some(shared), Some(kept_in)) = (shared(), std::env::var_os("ITP_FEATURES")) else {
        println!("skipped: ../shared or ITP_FEATURES is missing");
        return;
    };
    let only = std::env::var("ITP_NET").unwrap_or_default();
    for net in NETS.iter().filter(|net| only.is_empty() || net.folder == only) {
        println!("\n## {}", net.name);
        let kept_in = Path::new(&kept_in).join(net.folder);
        let Some(prepared) = prepare(net, &shared, &kept_in) else {
            println!("skipped: no kept features");
            continue;
        };
        let report = tune(&prepared);
        let found = real(&prepared, &report);
        println!("| score | R1 picks | real | R* picks | real | best in the grid | real |");
        println!("|---|---|---|---|---|---|---|");
        for (family, found) in report.families.iter().zip(&found) {
            let best = (0..found.len()).max_by(|&a, &b| found[a].total_cmp(&found[b])).unwrap();
            let cells = [family.r1, family.r_star, best]
                .map(|at| format!("{} | {:.2}", family.tried[at].setting, found[at]));
            println!("| {} | {} |", family.score, cells.join(" | "));
        }

        let sets: Vec<&str> = prepared.ood.iter().map(|(name, _)| *name).collect();
        println!("\n| | {} | far | near | all |", sets.join(" | "));
        println!("|{}", "---|".repeat(sets.len() + 4));
        let detector =
            FeatureDetector::new(Arc::clone(prepared.model.head()), prepared.stats.clone())
                .unwrap();
        let pick = |score: &str, rule| options(&report.family(score).unwrap().pick(rule).setting);
        let rows = [
            ("Energy", "energy", Options::default()),
            ("ITP, the paper's settings", "itp", Options::default()),
            ("ITP, R1", "itp", pick("itp", Rule::R1)),
            ("ITP, R*", "itp", pick("itp", Rule::RStar)),
            ("ReAct, R1", "react", pick("react", Rule::R1)),
            ("CADRef", "cadref", Options::default()),
            ("HELD+T, default", "held_t", Options::default()),
            ("HELD+T, R1", "held_t", pick("held_t", Rule::R1)),
            ("HELD+T, R*", "held_t", pick("held_t", Rule::RStar)),
        ];
        for (name, score, options) in rows {
            let options = options.score(score);
            let rate = |rows: ArrayView2<f32>| detector.scores(rows, &options).unwrap();
            let id = rate(prepared.id_features.view());
            let ood: Vec<_> = prepared.ood.iter().map(|(_, rows)| rate(rows.view())).collect();
            table_row(name, &id, &ood);
        }
        assert_eq!(report.kinds, Kind::ALL);
        let itp = report.families.iter().position(|family| family.score == "itp").unwrap();
        let best = found[itp].iter().copied().fold(0.0, f64::max);
        for pick in [report.families[itp].r1, report.families[itp].r_star] {
            println!("\nITP's pick is {:.2} below the best in its grid", best - found[itp][pick]);
        }
        let r1 = report.families[itp].r1;
        assert!(best - found[itp][r1] <= 0.3, "R1's pick is {:.2} below", best - found[itp][r1]);
    }
}

/// FPR95 and AUROC of HELD and HELD+T as another implementation found them, on all ID test images,
/// for the sets whose features were kept in full.
#[test]
#[ignore = "needs ../shared and kept features (ITP_FEATURES); takes minutes"]
fn held_agrees_with_an_independent_implementation_on_real_images() {
    let (Some(shared), Some(kept_in)) = (shared(), std::env::var_os("ITP_FEATURES")) else {
        println!("skipped: ../shared or ITP_FEATURES is missing");
        return;
    };
    let text = std::fs::read_to_string(shared.join("golden/expected_held_t.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let only = std::env::var("ITP_NET").unwrap_or_default();
    for net in NETS.iter().filter(|net| only.is_empty() || net.folder == only) {
        let kept_in = Path::new(&kept_in).join(net.folder);
        let Some(prepared) = prepare(net, &shared, &kept_in) else { continue };
        let (id, _) = kept(&kept_in, net.id).unwrap();
        let detector =
            FeatureDetector::new(Arc::clone(prepared.model.head()), prepared.stats.clone())
                .unwrap();
        let mut compared = 0;
        let rows = expected["rows"].as_array().unwrap();
        for row in rows
            .iter()
            .filter(|row| net.model.ends_with(&format!("_{}.onnx", row["model"].as_str().unwrap())))
        {
            let given = [("heldLambda", row["lambda"].as_f64()), ("heldA", row["a"].as_f64())];
            let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
            let options = Options::default().score(row["score"].as_str().unwrap());
            let options = given.fold(options, |o, (name, value)| o.with(name, value).unwrap());
            let id = detector.scores(id.view(), &options).unwrap();
            for (name, features) in &prepared.ood {
                let whole = if *name == "textures32" { 1200 } else { 2000 };
                if features.nrows() < whole {
                    continue;
                }
                let ood = detector.scores(features.view(), &options).unwrap();
                let found = Separation::between(&id, &ood).unwrap();
                let found = [100.0 * found.fpr95, 100.0 * found.auroc];
                for (found, expected) in found.iter().zip(row["table"][name].as_array().unwrap()) {
                    let expected = expected.as_f64().unwrap();
                    assert!((found - expected).abs() <= 0.3, "{row}, {name}: {found}");
                    compared += 1;
                }
            }
        }
        println!("{}: {compared} figures within 0.3 points", net.name);
        assert!(compared > 0);
    }
}
