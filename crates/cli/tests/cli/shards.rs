//! `itp calibrate --shard` and `itp merge`: parts from several machines make the file of one run.

use itp_ood::Stats;

use crate::support::*;

/// `itp merge` of partials with published settings, in any order.
fn merge(data: &Data, parts: &[String], output: &str) -> std::process::Output {
    let output = data.path(output);
    let settings = ["--p", "10", "--lambda", "2.2", "-o", &output];
    itp(["merge"].into_iter().chain(parts.iter().map(String::as_str)).chain(settings))
}

#[track_caller]
fn equal(a: &Stats, b: &Stats) {
    assert_eq!((a.counts(), a.labels(), a.settings()), (b.counts(), b.labels(), b.settings()));
    assert_eq!((a.trained_on(), a.warnings()), (b.trained_on(), b.warnings()));
    let close =
        |name: &str, a: &mut dyn Iterator<Item = &f32>, b: &mut dyn Iterator<Item = &f32>| {
            let worst = a.zip(b).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max);
            assert!(worst < 1e-6, "{name}: {worst}");
        };
    close("mean", &mut a.feature_mean().iter(), &mut b.feature_mean().iter());
    close("std", &mut a.feature_std().iter(), &mut b.feature_std().iter());
    assert!(a.tensors().keys().eq(b.tensors().keys()));
    for (name, tensor) in a.tensors() {
        close(name, &mut tensor.iter(), &mut b.tensors()[name].iter());
    }
    for (name, scores) in a.id_scores() {
        assert_eq!(scores.len(), b.id_scores()[name].len(), "{name}");
        close(name, &mut scores.iter(), &mut b.id_scores()[name].iter());
    }
}

#[test]
fn merged_shards_are_the_whole() {
    let data = Data::new(40);
    for i in 0..20 {
        for (class, name) in CLASSES.iter().enumerate() {
            data.image(&format!("val/{name}/{i:03}.png"), class as u32 * 1000 + 500 + i);
        }
    }
    // A broken image has its place in one part only.
    std::fs::write(data.path("train/bee/007.png"), b"broken").unwrap();
    let detectors = ["--detectors", "knn,klm,opnp,ras,react,mds_pp,vra"];
    let holdout = data.path("val");
    for holdout in [&["--holdout", holdout.as_str()][..], &[]] {
        let more = [&detectors[..], holdout].concat();
        let published = [&more[..], &["--p", "10", "--lambda", "2.2"]].concat();
        done(data.calibrate("train", "whole.itp.safetensors", &published));
        let whole = data.stats("whole.itp.safetensors");
        let mut parts: Vec<String> = (1..=3)
            .map(|part| {
                let (name, shard) = (format!("part-{part}"), format!("{part}/3"));
                let text = done(data.calibrate(
                    "train",
                    &name,
                    &[&more[..], &["--shard", &shard]].concat(),
                ));
                assert!(text.contains(&format!("part {shard}")), "{text}");
                data.path(&name)
            })
            .collect();
        done(merge(&data, &parts, "one.itp.safetensors"));
        equal(&data.stats("one.itp.safetensors"), &whole);
        parts.rotate_left(1);
        done(merge(&data, &parts, "other.itp.safetensors"));
        assert_eq!(data.read("one.itp.safetensors"), data.read("other.itp.safetensors"));

        // By way of a partial of two.
        let two = data.path("two");
        done(itp(["merge", &parts[0], &parts[2], "--partial", "-o", &two]));
        done(merge(&data, &[two, parts[1].clone()], "tree.itp.safetensors"));
        equal(&data.stats("tree.itp.safetensors"), &whole);
    }
}

#[test]
fn what_is_missing_twice_or_no_part_is_named() {
    let data = Data::new(6);
    let part = |name: &str, shard: &str| data.calibrate("train", name, &["--shard", shard]);
    for shard in ["1/3", "2/3", "3/3"] {
        done(part(&format!("part-{}", &shard[..1]), shard));
    }
    let parts: Vec<String> = (1..=3).map(|part| data.path(&format!("part-{part}"))).collect();
    let missing = failed(merge(&data, &parts[..2], "out"), 9);
    assert!(missing.contains("3/3"), "{missing}");
    let twice = failed(merge(&data, &[&parts[..], &parts[..1]].concat(), "out"), 9);
    assert!(twice.contains("part 1/3"), "{twice}");
    data.calibrated();
    let mixed =
        failed(merge(&data, &[parts[0].clone(), data.path("all.itp.safetensors")], "out"), 8);
    assert!(mixed.contains("partials come from"), "{mixed}");
    std::fs::write(data.path("part-2"), &data.read("part-2")[..100]).unwrap();
    failed(merge(&data, &parts, "out"), 4);

    for (shard, says) in [("0/3", "1/3 to 3/3"), ("4/3", "1/3 to 3/3"), ("x", "third of eight")] {
        let message = failed(part("out", shard), 2);
        assert!(message.contains(says), "{message}");
    }
    let few = failed(part("out", "30/30"), 9);
    assert!(few.contains("at most 24 parts"), "{few}");
    failed(data.calibrate("train", "out", &["--shard", "1/3", "--p", "10"]), 2);
    assert!(!std::path::Path::new(&data.path("out")).exists());
}
