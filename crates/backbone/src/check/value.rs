//! What is known about a value of the graph before anything is computed.

use std::rc::Rc;

use tract_onnx::pb;
use tract_onnx::pb::tensor_proto::DataType;

use super::fold;
use super::grid::Grid;
use crate::graph::{data_type, floats, integers};

/// The most elements of a constant whose values are always followed.
pub(super) const MAX_FOLDED: usize = 4096;
/// The same for stored integers: indices of relative positions have some ten thousand.
const MAX_INDICES: usize = 1 << 20;

/// Element type, shape, and for short constants the elements.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    pub dtype: DataType,
    pub shape: Vec<usize>,
    /// Whether it is the same for every image.
    pub constant: bool,
    pub data: Option<Data>,
    /// Of long constants, perhaps instead of the elements.
    pub grid: Option<Grid>,
    /// Whether a change of shape lies between the last convolution or pooling and this.
    pub reshaped: bool,
}

/// The elements of a short constant, in row-major order. Truth values are 0 and 1.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Data {
    Ints(Rc<[i64]>),
    Floats(Rc<[f32]>),
}

impl Data {
    pub fn len(&self) -> usize {
        match self {
            Self::Ints(values) => values.len(),
            Self::Floats(values) => values.len(),
        }
    }

    /// The elements at some positions.
    pub fn pick(&self, positions: &[usize]) -> Self {
        match self {
            Self::Ints(values) => Self::Ints(positions.iter().map(|&at| values[at]).collect()),
            Self::Floats(values) => Self::Floats(positions.iter().map(|&at| values[at]).collect()),
        }
    }
}

impl Value {
    pub fn new(dtype: DataType, shape: impl Into<Vec<usize>>) -> Self {
        Self {
            dtype,
            shape: shape.into(),
            constant: false,
            data: None,
            grid: None,
            reshaped: false,
        }
    }

    pub fn ints(dtype: DataType, shape: impl Into<Vec<usize>>, values: Vec<i64>) -> Self {
        let data = Some(Data::Ints(values.into()));
        Self { constant: true, data, ..Self::new(dtype, shape) }
    }

    pub fn floats(shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        let data = Some(Data::Floats(values.into()));
        Self { constant: true, data, ..Self::new(DataType::Float, shape) }
    }

    /// A stored tensor, which has been checked to hold as many elements as its shape says.
    pub fn stored(tensor: &pb::TensorProto) -> Self {
        let dtype = data_type(tensor);
        let dims = tensor.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0));
        let mut value = Self { constant: true, ..Self::new(dtype, dims.collect::<Vec<_>>()) };
        let indices = matches!(dtype, DataType::Int64 | DataType::Int32);
        if value.len() <= if indices { MAX_INDICES } else { MAX_FOLDED } {
            value.data = elements(tensor, dtype);
        }
        value
    }

    /// What an operator yields, with its grid. Then the elements of a long one aren't kept.
    pub fn with_grid(mut self, node: &pb::NodeProto, inputs: &[Option<Value>]) -> Self {
        self.grid = Grid::of(node, inputs, &self);
        if self.grid.is_some() && self.len() > MAX_FOLDED && self.data.take().is_some() {
            fold::forget(self.len());
        }
        self
    }

    /// With the elements that its grid stands for.
    pub fn with_elements(mut self) -> Self {
        if let (None, Some(grid)) = (&self.data, &self.grid) {
            self.data = grid.elements(&self.shape);
        }
        self
    }

    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements; shapes are checked not to overflow.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn bytes(&self) -> usize {
        self.len().saturating_mul(width(self.dtype))
    }

    pub fn as_ints(&self) -> Option<&[i64]> {
        match &self.data {
            Some(Data::Ints(values)) => Some(values),
            _ => None,
        }
    }

    pub fn as_floats(&self) -> Option<&[f32]> {
        match &self.data {
            Some(Data::Floats(values)) => Some(values),
            _ => None,
        }
    }

    /// The same elements in another shape.
    pub fn reshaped(&self, shape: impl Into<Vec<usize>>) -> Self {
        Self { shape: shape.into(), grid: None, ..self.clone() }
    }
}

/// Bytes of one element in the engine.
fn width(dtype: DataType) -> usize {
    match dtype {
        DataType::Double | DataType::Int64 | DataType::Uint64 => 8,
        DataType::Float | DataType::Int32 | DataType::Uint32 => 4,
        DataType::Float16 | DataType::Bfloat16 | DataType::Int16 | DataType::Uint16 => 2,
        _ => 1,
    }
}

pub(super) fn is_float(dtype: DataType) -> bool {
    matches!(dtype, DataType::Float | DataType::Float16 | DataType::Double)
}

pub(super) fn is_int(dtype: DataType) -> bool {
    integer_range(dtype).is_some()
}

/// The least and the greatest value of an integer type; 64 unsigned bits are cut to 63.
pub(super) fn integer_range(dtype: DataType) -> Option<(i64, i64)> {
    Some(match dtype {
        DataType::Int64 => (i64::MIN, i64::MAX),
        DataType::Int32 => (i32::MIN.into(), i32::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Uint64 => (0, i64::MAX),
        DataType::Uint32 => (0, u32::MAX.into()),
        DataType::Uint16 => (0, u16::MAX.into()),
        DataType::Uint8 => (0, u8::MAX.into()),
        _ => return None,
    })
}

/// Reads the elements of a short tensor of integers, truth values or `f32`.
fn elements(tensor: &pb::TensorProto, dtype: DataType) -> Option<Data> {
    if dtype == DataType::Float {
        return Some(Data::Floats(floats(tensor).ok()?.into()));
    }
    if dtype == DataType::Bool {
        let values = integers(tensor)?.into_iter().map(|value| i64::from(value != 0));
        return Some(Data::Ints(values.collect()));
    }
    let (least, greatest) = integer_range(dtype)?;
    let values = integers(tensor)?;
    let all_in_range = values.iter().all(|value| (least..=greatest).contains(value));
    all_in_range.then(|| Data::Ints(values.into()))
}

/// A tensor with these elements, named by the caller.
pub(super) fn tensor(name: String, value: &Value) -> Option<pb::TensorProto> {
    let mut tensor = pb::TensorProto {
        name,
        dims: value.shape.iter().map(|&dim| dim as i64).collect(),
        data_type: value.dtype as i32,
        ..Default::default()
    };
    match value.data.as_ref()? {
        Data::Floats(values) => {
            tensor.raw_data = values.iter().flat_map(|v| v.to_le_bytes()).collect()
        }
        Data::Ints(values) => {
            let bytes = if value.dtype == DataType::Bool { 1 } else { width(value.dtype) };
            tensor.raw_data =
                values.iter().flat_map(|v| v.to_le_bytes().into_iter().take(bytes)).collect();
        }
    }
    Some(tensor)
}
