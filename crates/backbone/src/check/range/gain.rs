//! How much products with stored weights can enlarge a value.
//!
//! All weights are looked at once when a model is loaded, so these loops work on several at a time.

use std::borrow::Cow;

use tract_onnx::pb;

use super::Range;

/// Numbers that are worked on at a time.
const LANES: usize = 16;

/// A tensor's elements.
fn elements(tensor: &pb::TensorProto) -> Cow<'_, [[u8; 4]]> {
    if tensor.raw_data.is_empty() {
        tensor.float_data.iter().map(|value| value.to_le_bytes()).collect()
    } else {
        Cow::Borrowed(tensor.raw_data.as_chunks().0)
    }
}

fn number(bytes: &[u8; 4]) -> f32 {
    f32::from_le_bytes(*bytes)
}

/// The elements of a short tensor.
pub(super) fn numbers(tensor: &pb::TensorProto) -> Vec<f64> {
    elements(tensor).iter().map(|bytes| f64::from(number(bytes))).collect()
}

/// A tensor's bounds; NaN counts as infinity of both signs.
pub(super) fn range(tensor: &pb::TensorProto) -> Range {
    let elements = elements(tensor);
    let (mut low, mut high) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let mut has_nan = [false; LANES];
    let mut look = |lane: usize, value: f32| {
        low[lane] = if value < low[lane] { value } else { low[lane] };
        high[lane] = if value > high[lane] { value } else { high[lane] };
        has_nan[lane] |= value.is_nan();
    };
    let (chunks, rest) = elements.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, bytes) in chunk.iter().enumerate() {
            look(lane, number(bytes));
        }
    }
    for (lane, bytes) in rest.iter().enumerate() {
        look(lane, number(bytes));
    }
    if has_nan.contains(&true) {
        return Range::around_zero(f64::INFINITY);
    }
    let low = low.into_iter().fold(f32::INFINITY, f32::min);
    let high = high.into_iter().fold(f32::NEG_INFINITY, f32::max);
    if low > high { Range::new(0.0, 0.0) } else { Range::new(low.into(), high.into()) }
}

/// The largest sum of magnitudes of `columns` columns; infinite if there is NaN.
pub(super) fn of_columns(tensor: &pb::TensorProto, columns: usize) -> f64 {
    let mut sums = vec![0f32; columns];
    for row in elements(tensor).chunks(columns.max(1)) {
        for (sum, bytes) in sums.iter_mut().zip(row) {
            *sum += number(bytes).abs();
        }
    }
    largest(sums)
}

/// The largest sum of magnitudes of rows of a length; infinite if there is NaN.
pub(super) fn of_rows(tensor: &pb::TensorProto, length: usize) -> f64 {
    largest(elements(tensor).chunks(length.max(1)).map(|row| {
        let (chunks, rest) = row.as_chunks::<LANES>();
        let mut sums = [0f32; LANES];
        for chunk in chunks {
            for (sum, bytes) in sums.iter_mut().zip(chunk) {
                *sum += number(bytes).abs();
            }
        }
        sums.iter().sum::<f32>() + rest.iter().map(|bytes| number(bytes).abs()).sum::<f32>()
    }))
}

fn largest(sums: impl IntoIterator<Item = f32>) -> f64 {
    let infinite = |sum: f32| if sum.is_nan() { f64::INFINITY } else { f64::from(sum) };
    sums.into_iter().map(infinite).fold(0.0, f64::max)
}
