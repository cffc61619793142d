//! Models that once made the engine panic, hang, take all memory, read out of bounds or compute
//! something else: each is refused, or right.

use std::path::PathBuf;
use std::time::Instant;

use itp_ood_backbone::{Backbone, ErrorKind};
use ndarray::Array4;
use prost::Message;
use tract_onnx::pb;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/faults/onnx")
}

fn model(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

/// The numbers that onnxruntime was given.
fn image(shape: [usize; 4]) -> Array4<f32> {
    let mut state = 2_654_435_762_u32;
    Array4::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1u32 << 23) as f32 - 1.0
    })
}

/// What the error says about a model that must be refused.
#[track_caller]
fn refusal(name: &str, model: &[u8]) -> String {
    let start = Instant::now();
    let mut result = Backbone::from_onnx(model, None);
    if result.as_ref().is_err_and(|error| error.message().contains("any size")) {
        result = Backbone::from_onnx(model, Some((8, 8)));
    }
    let Err(error) = result else { panic!("{name} was loaded") };
    assert_eq!(error.kind(), ErrorKind::Model, "{name}: {error}");
    assert!(!error.message().contains("the engine failed"), "{name}: {error}");
    assert!(start.elapsed().as_secs() < 5, "{name} took {:?}", start.elapsed());
    error.message().to_owned()
}

#[test]
fn panics_traps_hangs_and_crashes_are_refused_before_the_engine_sees_them() {
    let mut names: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let is_damaged = |name: &&String| {
        ["trap_", "panic_", "segv_", "hang_", "oom_", "bomb_", "own_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
            && *name != "trap_clip_ok.onnx"
    };
    let damaged: Vec<&String> = names.iter().filter(is_damaged).collect();
    assert!(damaged.len() > 50);
    for name in damaged {
        let bytes = model(name);
        println!("{name}: {}", refusal(name, &bytes));
        // Many say an operator set that doesn't exist; the fault is another.
        let mut proto = pb::ModelProto::decode(bytes.as_slice()).unwrap();
        for set in proto.opset_import.iter_mut().filter(|set| set.version == 0) {
            set.version = 17;
        }
        println!("{name}: {}", refusal(name, &proto.encode_to_vec()));
    }
}

#[test]
fn the_operator_and_the_attribute_at_fault_are_named() {
    let cases = [
        ("trap_softmax_axis9", "Softmax (output `y`) has an attribute `axis`"),
        ("trap_concat_axis9", "`axis`"),
        ("trap_conv_pads_short", "`pads` [1] for 2 spatial dimensions"),
        ("trap_conv_strides_short", "`strides` [1]"),
        ("trap_gather_index99", "reads place 99 of an axis of length"),
        ("trap_slice_step0", "has the step 0"),
        ("trap_transpose_perm9", "`perm`"),
        ("trap_unsqueeze_axis99", "`axes` 99"),
        ("trap_relu_two_outputs", "has 2 outputs; 1 are needed"),
        ("trap_resize_scales2", "has scales"),
        ("segv_batchnorm_rank1", "BatchNormalization (output `z`) reads a tensor of shape [8]"),
        ("segv_dropout_empty_training_mode", "without elements"),
        ("hang_gathernd_scalar_index", "indices of shape []"),
        ("oom_scan_num_scan_inputs", "Scan (output `y`) isn't supported; export the model"),
        ("domain_unknown_relu", "of the domain `nowhere` isn't supported"),
    ];
    for (name, reason) in cases {
        let message = refusal(name, &model(&format!("{name}.onnx")));
        assert!(message.contains(reason), "{name}: {message}");
    }
}

#[test]
fn operators_that_the_engine_computes_wrongly_give_onnxruntimes_features() {
    let cases: [(&str, &[f32]); 6] = [
        ("celu_0.5", &[0.3008568, 0.3879539, 0.4333739, 0.2817746, 0.3533642, 0.336494]),
        ("celu_6.0", &[0.2118829, 0.1130188, -0.0101523, 0.3810433, 0.1459443, 0.2154296]),
        ("globallppool_1", &[83.01354, 68.45629, 61.64732, 84.74859, 65.19942, 62.94017]),
        ("globallppool_2", &[12.4671, 9.133233, 10.81778, 10.21769, 10.49469, 9.984992]),
        // A local function of that name, which negates.
        (
            "function_named_relu",
            &[-0.02380243, 0.09176733, 0.2714045, 0.1907898, -0.1695719, -0.1584058],
        ),
        ("trap_clip_ok", &[-0.4834274, -0.4483806, -0.08905804, -0.7629739]),
    ];
    for (name, expected) in cases {
        let (backbone, _) = Backbone::from_onnx(&model(&format!("{name}.onnx")), None).unwrap();
        let features = backbone.features(image(backbone.input_shape()).view()).unwrap();
        for (found, expected) in features.iter().zip(expected) {
            let tolerance = 1e-4 * expected.abs().max(1.0);
            assert!((found - expected).abs() < tolerance, "{name}: {found} is not {expected}");
        }
    }
}

#[test]
fn nan_inside_the_network_is_found_though_the_features_are_finite() {
    for name in ["nan_Sqrt_relu", "nan_clip"] {
        let (backbone, _) = Backbone::from_onnx(&model(&format!("{name}.onnx")), None).unwrap();
        let error = backbone.features(image(backbone.input_shape()).view()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Features, "{name}: {error}");
        assert!(error.message().contains("NaN or infinity"), "{name}: {error}");
    }
}
