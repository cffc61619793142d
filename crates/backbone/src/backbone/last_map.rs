//! The last map of a network whose features are its mean over all positions.

use std::collections::HashMap;

use ndarray::{Array3, Axis, Ix4};
use tract_onnx::pb;
use tract_onnx::prelude::{TValue, TractError};

use crate::check::Values;
use crate::graph::{describe, input, ints};

/// The most operators from the features to the mean.
const MAX_STEPS: usize = 100;

/// Where the map is found after a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct LastMap {
    /// Which of the network's outputs it is.
    output: usize,
    channels_first: bool,
}

impl LastMap {
    /// Makes the map an output, if it was asked for; or says why there is none.
    pub fn prepare(
        graph: &mut pb::GraphProto,
        values: &Values,
        num_features: Option<usize>,
        is_wanted: bool,
    ) -> Result<Self, String> {
        let num_features = num_features.ok_or("the last layer isn't linear")?;
        let (name, channels_first) = find(graph, values, num_features)
            .map_err(|why| format!("the features are no mean over the last map: {why}"))?;
        if !is_wanted {
            return Err("the model was loaded without its last map; ask for it when loading".into());
        }
        let known = graph.output.iter().position(|output| output.name == name);
        let output = known.unwrap_or(graph.output.len());
        if known.is_none() {
            graph.output.push(pb::ValueInfoProto { name, ..Default::default() });
        }
        Ok(Self { output, channels_first })
    }

    /// The map `[C, H, W]` in the network's outputs.
    pub fn read(self, outputs: &[TValue]) -> Result<Array3<f32>, TractError> {
        let output = outputs.get(self.output).ok_or_else(|| TractError::msg("there is no map"))?;
        let output = output.cast_to::<f32>()?;
        let map = output.to_plain_array_view::<f32>()?.into_dimensionality::<Ix4>()?;
        let map = map.index_axis_move(Axis(0), 0);
        let map = if self.channels_first { map } else { map.permuted_axes([2, 0, 1]) };
        Ok(map.as_standard_layout().into_owned())
    }
}

/// The map that the features are the mean of, and whether its channels come first; or why there is none.
fn find(
    graph: &pb::GraphProto,
    values: &Values,
    num_features: usize,
) -> Result<(String, bool), String> {
    let producers: HashMap<&str, &pb::NodeProto> = graph
        .node
        .iter()
        .flat_map(|node| node.output.iter().map(move |output| (output.as_str(), node)))
        .collect();
    let shape = |name: &str| values.get(name).map_or(&[][..], |value| &value.shape);
    let mut value = graph.output.first().map_or("", |output| &output.name);
    for _ in 0..MAX_STEPS {
        let Some(&node) = producers.get(value) else {
            return Err("they come straight from the model's input".into());
        };
        let before = input(node, 0).map_err(|error| error.message().to_owned())?;
        let map = shape(before);
        let channels_first = match node.op_type.as_str() {
            // A row of numbers stays in order, whatever its shape.
            "Identity" | "Cast" | "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" => None,
            "Transpose" if map.iter().filter(|&&length| length > 1).count() <= 1 => None,
            "GlobalAveragePool" => Some(true),
            "AveragePool" if is_whole(node, map) => Some(true),
            "ReduceMean" => match ints(node, "axes") {
                [2, 3] => Some(true),
                [1, 2] => Some(false),
                _ => return Err(foreign(node)),
            },
            _ => return Err(foreign(node)),
        };
        let Some(channels_first) = channels_first else {
            value = before;
            continue;
        };
        return match *map {
            [1, channels, _, _] if channels_first && channels == num_features => {
                Ok((before.to_owned(), true))
            }
            [1, _, _, channels] if !channels_first && channels == num_features => {
                Ok((before.to_owned(), false))
            }
            _ => Err(format!("{} averages a map of shape {map:?}", describe(node))),
        };
    }
    Err("the mean is too far away".into())
}

fn foreign(node: &pb::NodeProto) -> String {
    format!("they come from {}", describe(node))
}

/// Whether an AveragePool has one window, which is the map.
fn is_whole(node: &pb::NodeProto, map: &[usize]) -> bool {
    let kernel = ints(node, "kernel_shape");
    let is_map = map.len() == 4 && kernel.iter().zip(&map[2..]).all(|(&k, &n)| k == n as i64);
    kernel.len() == 2 && is_map && ints(node, "pads").iter().all(|&pad| pad == 0)
}
