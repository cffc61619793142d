//! Detectors and metrics against independent implementations.

mod common;

use common::Golden;
use itp_ood::metrics;

#[test]
fn fpr95_and_auroc_agree() {
    let golden = Golden::load();
    let num_id = golden.json["num_id"].as_u64().unwrap() as usize;
    let names = golden.json["auroc"].as_object().unwrap();
    assert_eq!(names.len(), 20);
    for name in names.keys() {
        let scores = golden.f64s(&format!("score.{name}"));
        let (id, ood) = scores.split_at(num_id);
        let found = metrics::evaluate(id, ood).unwrap();
        for (figure, found) in [("auroc", found.auroc), ("fpr95", found.fpr95)] {
            let expected = golden.json[figure][name].as_f64().unwrap();
            assert!((100.0 * found - expected).abs() < 1e-9, "{figure} of {name}: {found}");
        }
    }
}
