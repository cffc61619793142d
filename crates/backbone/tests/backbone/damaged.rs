//! Files that were cut off or damaged, and bytes that are no model.

use itp_ood_backbone::{Backbone, ErrorKind};

use crate::{image, shared, small};

/// What a damaged file does: the error must be typed, or else a loaded model must run or say why
/// not (a flipped bit in a weight can't be noticed).
fn survives(bytes: &[u8]) -> bool {
    match Backbone::from_onnx(bytes, None) {
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::Model | ErrorKind::Mismatch), "{error:?}");
            assert!(!error.message().is_empty());
            false
        }
        Ok((backbone, _)) => {
            if let Err(error) = backbone.features(image(backbone.input_shape(), 0).view()) {
                assert!(matches!(error.kind(), ErrorKind::Features | ErrorKind::Model));
            }
            true
        }
    }
}

#[test]
fn a_model_cut_off_anywhere_is_refused() {
    let model = small("gemm");
    for length in 0..model.len() {
        assert!(!survives(&model[..length]), "the first {length} bytes were taken for a model");
    }
    assert!(survives(&model));
}

#[test]
fn damaged_bytes_never_panic() {
    let model = small("gemm");
    let mut loaded = 0;
    for index in (0..model.len()).step_by(2) {
        let mut damaged = model.clone();
        damaged[index] ^= [0xff, 0x01, 0x80, 0x7f][index / 2 % 4];
        loaded += u32::from(survives(&damaged));
    }
    // Most of the file is weights and names; the rest must have been refused.
    assert!(loaded > 100 && loaded < 1200, "{loaded}");
}

#[test]
fn random_bytes_are_refused() {
    let mut state = 1u64;
    for length in (1..400).chain([5_000, 100_000]) {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        assert!(!survives(&bytes));
    }
}

#[test]
fn a_flood_of_empty_operators_is_refused() {
    // Two bytes each: field 1 of the graph, of length 0.
    let nodes = [0x0a, 0x00].repeat(1_000_000);
    let mut model = vec![0x3a];
    let mut length = nodes.len();
    while length >= 0x80 {
        model.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    model.push(length as u8);
    model.extend(nodes);
    let error = Backbone::from_onnx(&model, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    assert!(error.message().contains("more than"), "{error}");
}

#[test]
fn a_real_model_that_is_cut_off_or_damaged_is_survived() {
    let Some(model) = shared("densenet100_cifar10.onnx") else { return };
    for part in 1..20 {
        assert!(!survives(&model[..model.len() * part / 20]));
    }
    assert!(!survives(&model[..model.len() - 1]));
    // The first bytes and the last hold structure; between are mostly weights.
    for index in (0..400).step_by(29).chain((0..6).map(|i| model.len() - 1 - i * 17)) {
        let mut damaged = model.clone();
        damaged[index] ^= 0x55;
        survives(&damaged);
    }
}
