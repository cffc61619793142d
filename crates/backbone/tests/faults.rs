//! Models that once made the engine panic, hang, take all memory, read out of bounds or compute
//! something else: each is refused, or right.

use std::path::PathBuf;
use std::time::Instant;

use itp_ood_backbone::{Backbone, ErrorKind, LoadOptions};
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

/// An operator's name and the constant that it takes; none if that is empty.
type Operator<'a> = (&'a str, &'a [f32]);

/// A small model with operators put behind its input, constants in the shape `[n]`.
fn behind_input(operators: &[Operator]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/models/gemm.onnx");
    let mut model = pb::ModelProto::decode(std::fs::read(path).unwrap().as_slice()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let mut value = "input".to_owned();
    let mut nodes = Vec::new();
    for (index, (op_type, constant)) in operators.iter().enumerate() {
        let mut input = vec![value.clone()];
        let limits = [constant.first(), constant.get(1)];
        let constants: Vec<(Vec<i64>, Vec<f32>)> = match *op_type {
            "Clip" => limits.iter().map(|limit| (vec![], vec![*limit.unwrap()])).collect(),
            _ if constant.is_empty() => vec![],
            _ => vec![(vec![constant.len() as i64], constant.to_vec())],
        };
        for (dims, float_data) in constants {
            let name = format!("constant{index}.{}", input.len());
            input.push(name.clone());
            let data_type = pb::tensor_proto::DataType::Float as i32;
            let tensor =
                pb::TensorProto { name, dims, data_type, float_data, ..Default::default() };
            graph.initializer.push(tensor);
        }
        if *op_type == "Mul" && constant.is_empty() {
            input.push(value);
        }
        value = format!("value{index}");
        let output = vec![value.clone()];
        let op_type = (*op_type).into();
        nodes.push(pb::NodeProto { op_type, input, output, ..Default::default() });
    }
    for node in &mut graph.node {
        for name in node.input.iter_mut().filter(|name| *name == "input") {
            name.clone_from(&value);
        }
    }
    graph.node.splice(0..0, nodes);
    model.encode_to_vec()
}

#[test]
fn numbers_that_leave_single_precision_are_found_though_they_are_hidden() {
    let infinite = [f32::NEG_INFINITY; 8];
    let cases: [(&str, &[Operator]); 7] = [
        ("clip", &[("Mul", &[1e30]), ("Mul", &[1e30]), ("Clip", &[-1.0, 1.0])]),
        ("relu", &[("Abs", &[]), ("Mul", &[1e30]), ("Mul", &[-1e30]), ("Relu", &[])]),
        ("sigmoid", &[("Mul", &[1e25]), ("Mul", &[]), ("Sigmoid", &[])]),
        ("inverse", &[("Mul", &[0.0]), ("Div", &[0.0]), ("Clip", &[-1.0, 1.0])]),
        ("tanh", &[("Mul", &[1e4]), ("Exp", &[]), ("Tanh", &[])]),
        ("no row is left", &[("Add", &infinite), ("Softmax", &[]), ("Clip", &[0.0, 1.0])]),
        ("weights", &[("Mul", &[f32::INFINITY]), ("Clip", &[-1.0, 1.0])]),
    ];
    for (name, operators) in cases {
        let (backbone, _) = match Backbone::from_onnx(&behind_input(operators), None) {
            Ok(loaded) => loaded,
            // What weights alone yield is found when the model is loaded.
            Err(error) => {
                assert!(error.message().contains("weights yield NaN or infinity"), "{error}");
                continue;
            }
        };
        let error = backbone.features(image(backbone.input_shape()).view()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Features, "{name}: {error}");
        assert!(error.message().contains("on its way to the features"), "{name}: {error}");
    }
}

#[test]
fn masks_of_attention_and_large_numbers_are_no_error() {
    for masked in [f32::NEG_INFINITY, f32::MIN, -1e9] {
        let mut mask = [0.0; 8];
        mask[5] = masked;
        let operators: [(&str, &[f32]); 2] = [("Add", &mask), ("Softmax", &[])];
        let (backbone, _) = Backbone::from_onnx(&behind_input(&operators), None).unwrap();
        backbone.features(image(backbone.input_shape()).view()).unwrap();
    }
    let operators: [(&str, &[f32]); 4] =
        [("Mul", &[1e12]), ("Mul", &[1e12]), ("Mul", &[1e-12]), ("Mul", &[1e-12])];
    let (backbone, _) = Backbone::from_onnx(&behind_input(&operators), None).unwrap();
    backbone.features(image(backbone.input_shape()).view()).unwrap();
}

#[test]
fn an_image_near_the_end_of_single_precision_is_refused() {
    let (backbone, _) = Backbone::from_onnx(&behind_input(&[]), None).unwrap();
    let mut image = image(backbone.input_shape());
    image[[0, 0, 3, 3]] = 1e30;
    let error = backbone.features(image.view()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Features);
    assert!(error.message().contains("mean and standard deviation"), "{error}");
}

#[test]
fn a_small_file_cannot_ask_for_much_memory() {
    // Each of many operators would write out the same large tensor once more.
    let mut model = pb::ModelProto::decode(behind_input(&[]).as_slice()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let tensor = |name: &str, dims: Vec<i64>, data_type, raw_data| pb::TensorProto {
        name: name.into(),
        dims,
        data_type: data_type as i32,
        raw_data,
        ..Default::default()
    };
    use pb::tensor_proto::DataType::{Float, Int8};
    graph.initializer.push(tensor("large", vec![1 << 20], Int8, vec![1; 1 << 20]));
    graph.initializer.push(tensor("scale", vec![], Float, 1f32.to_le_bytes().to_vec()));
    for index in 0..2000 {
        graph.node.push(pb::NodeProto {
            op_type: "DequantizeLinear".into(),
            input: vec!["large".into(), "scale".into()],
            output: vec![format!("large{index}")],
            ..Default::default()
        });
    }
    let mut options = LoadOptions::default();
    options.limits.memory = 64 << 20;
    let error = Backbone::from_onnx_with(model.encode_to_vec(), &options).unwrap_err();
    assert!(error.message().contains("more than the limit of 64 MiB"), "{error}");
}
