//! The model's input: one image of a known size.

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;

use crate::error::{Error, Result};
use crate::graph;
use crate::options::LoadOptions;

/// The largest input side and the most input channels.
const MAX_SIDE: usize = 1 << 14;
/// The most elements of an input: a bit more than 4096 x 4096 in colour.
const MAX_INPUT: usize = 1 << 26;

/// Makes the graph's only input a single `f32` image `[1, C, H, W]`, and returns its shape and
/// whether the model takes bytes.
pub(super) fn fix_input(
    graph: &mut pb::GraphProto,
    options: &LoadOptions,
) -> Result<([usize; 4], bool)> {
    let [input] = graph.input.as_slice() else {
        let names: Vec<_> = graph.input.iter().map(|input| input.name.as_str()).collect();
        return Err(Error::model(format!(
            "the features depend on {} inputs {names:?}; exactly one, the image, is supported",
            names.len()
        )));
    };
    let name = input.name.clone();
    let Some(pb::type_proto::Value::TensorType(tensor)) =
        input.r#type.as_ref().and_then(|declared| declared.value.as_ref())
    else {
        return Err(Error::model(format!("the model's input `{name}` has no tensor type")));
    };
    let data_type = DataType::try_from(tensor.elem_type).unwrap_or(DataType::Undefined);
    if !matches!(data_type, DataType::Float | DataType::Uint8) {
        return Err(Error::model(format!(
            "the model's input `{name}` has the type {}; export the model with a float32 input",
            data_type.as_str_name()
        )));
    }
    let dims: Vec<Option<i64>> = tensor
        .shape
        .iter()
        .flat_map(|shape| &shape.dim)
        .map(|dim| match dim.value {
            Some(Dim::DimValue(value)) if value != 0 => Some(value),
            _ => None,
        })
        .collect();
    let &[_, second, third, last] = dims.as_slice() else {
        return Err(Error::model(format!(
            "the model's input `{name}` has {} dimensions; images need 4: [batch, channels, \
             height, width]",
            dims.len()
        )));
    };
    let is_channels = |dim| matches!(dim, Some(1 | 3 | 4));
    let channels_last = is_channels(last) && !is_channels(second);
    let (channels, height, width) =
        if channels_last { (last, second, third) } else { (second, third, last) };
    let asked = options.channels.and_then(|channels| i64::try_from(channels).ok());
    let known = channels.or_else(|| channels_by_weights(graph, &name));
    let channels = known.or(asked).ok_or_else(|| {
        Error::model(format!(
            "the number of channels of the model's input `{name}` isn't known; say it by the \
             preprocessing, or export the model with a fixed number"
        ))
    })?;
    let (height, width) = size(height, width, options.input_size)?;
    let shape = [
        1,
        usize::try_from(channels).unwrap_or(0),
        usize::try_from(height).unwrap_or(0),
        usize::try_from(width).unwrap_or(0),
    ];
    if shape.iter().any(|&dim| !(1..=MAX_SIDE).contains(&dim))
        || graph::elements(&shape).is_none_or(|elements| elements > MAX_INPUT)
    {
        return Err(Error::model(format!(
            "the model's input `{name}` has the impossible size of {channels} channels, {height} \
             by {width}"
        )));
    }
    convert_input(graph, data_type, channels_last);
    Ok((shape, data_type == DataType::Uint8))
}

/// Height and width: the model's, or else what the caller asks for.
fn size(
    height: Option<i64>,
    width: Option<i64>,
    asked: Option<(usize, usize)>,
) -> Result<(i64, i64)> {
    let Some(asked) = asked else {
        return height.zip(width).ok_or_else(|| {
            Error::model(
                "the model takes images of any size; say which height and width to use (the \
                 size that images are cropped to)",
            )
        });
    };
    let asked = (i64::try_from(asked.0).unwrap_or(0), i64::try_from(asked.1).unwrap_or(0));
    if height.is_some_and(|height| height != asked.0) || width.is_some_and(|w| w != asked.1) {
        let side = |side: Option<i64>| side.map_or("any".to_owned(), |side| side.to_string());
        return Err(Error::mismatch(format!(
            "the model takes images of {} by {} (height by width), but {} by {} was asked for; \
             change the crop",
            side(height),
            side(width),
            asked.0,
            asked.1
        )));
    }
    Ok(asked)
}

/// The channels that the first convolution has weights for.
fn channels_by_weights(graph: &pb::GraphProto, input: &str) -> Option<i64> {
    let conv = graph
        .node
        .iter()
        .find(|node| node.op_type == "Conv" && node.input.first().is_some_and(|i| i == input))?;
    let weights =
        graph.initializer.iter().find(|tensor| Some(&tensor.name) == conv.input.get(1))?;
    let group = conv.attribute.iter().find(|attribute| attribute.name == "group");
    weights.dims.get(1)?.checked_mul(group.map_or(1, |group| group.i))
}

/// Puts a conversion of type or layout between the `f32` image and the model's own input.
fn convert_input(graph: &mut pb::GraphProto, data_type: DataType, channels_last: bool) {
    let mut convert = |op_type: &str, attribute: pb::AttributeProto| {
        let source = format!("{}.{op_type}", graph.input[0].name);
        let output = std::mem::replace(&mut graph.input[0].name, source.clone());
        let node = pb::NodeProto {
            op_type: op_type.into(),
            name: format!("{source}.operator"),
            input: vec![source],
            output: vec![output],
            attribute: vec![attribute],
            ..Default::default()
        };
        graph.node.insert(0, node);
    };
    use pb::attribute_proto::AttributeType;
    if channels_last {
        convert(
            "Transpose",
            pb::AttributeProto {
                name: "perm".into(),
                r#type: AttributeType::Ints as i32,
                ints: vec![0, 2, 3, 1],
                ..Default::default()
            },
        );
    }
    if data_type == DataType::Uint8 {
        convert(
            "Cast",
            pb::AttributeProto {
                name: "to".into(),
                r#type: AttributeType::Int as i32,
                i: data_type as i64,
                ..Default::default()
            },
        );
        graph.initializer.push(graph::float_tensor("byte.scale", &[1], &[255.0]));
        let cast = graph.input[0].name.clone();
        for (op_type, other) in [("Round", None), ("Mul", Some("byte.scale"))] {
            let source = format!("{cast}.{op_type}");
            let output = std::mem::replace(&mut graph.input[0].name, source.clone());
            let inputs: Vec<_> = [Some(&*source), other].into_iter().flatten().collect();
            let node = graph::node(op_type, &inputs, &output);
            graph.node.insert(0, node);
        }
    }
}
