//! This crate's convolutions as tract operators.

use std::sync::Arc;

use tract_onnx::tract_core::internal::*;

use super::convolution::Convolution;
use super::depthwise::Depthwise;
use super::window::Window;

/// A convolution of one picture, `[1, C, H, W]`, with constant weights.
#[derive(Debug, Clone)]
pub(super) enum OwnConvolution {
    Dense(Arc<Convolution>),
    Depthwise(Arc<Depthwise>),
}

/// Operators are equal only if they are the same: weights aren't compared one by one.
impl PartialEq for OwnConvolution {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dense(this), Self::Dense(other)) => Arc::ptr_eq(this, other),
            (Self::Depthwise(this), Self::Depthwise(other)) => Arc::ptr_eq(this, other),
            _ => false,
        }
    }
}

impl Eq for OwnConvolution {}

impl OwnConvolution {
    pub const NAMES: [&str; 2] = ["OwnConvolution", "OwnDepthwise"];

    fn window(&self) -> Window {
        match self {
            Self::Dense(op) => op.window(),
            Self::Depthwise(op) => op.window(),
        }
    }

    fn out_shape(&self) -> [usize; 4] {
        let channels = match self {
            Self::Dense(op) => op.out_channels(),
            Self::Depthwise(op) => op.out_channels(),
        };
        [1, channels, self.window().out_height, self.window().out_width]
    }
}

impl Op for OwnConvolution {
    fn name(&self) -> StaticName {
        Self::NAMES[usize::from(matches!(self, Self::Depthwise(_)))].into()
    }

    fn validation(&self) -> Validation {
        Validation::Rounding
    }

    op_as_typed_op!();
}

impl EvalOp for OwnConvolution {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        let input = input.try_as_plain_ram()?;
        let input = input.as_slice::<f32>()?;
        // SAFETY: the operators write every element and read none.
        #[allow(
            unsafe_code,
            reason = "zeros that are overwritten took a tenth of MobileNetV2's time"
        )]
        let mut output = unsafe { Tensor::uninitialized::<f32>(&self.out_shape())? };
        let mut plain = output.try_as_plain_ram_mut()?;
        match self {
            Self::Dense(op) => op.run(input, plain.as_slice_mut()?),
            Self::Depthwise(op) => op.run(input, plain.as_slice_mut()?),
        }
        Ok(tvec!(output.into_tvalue()))
    }
}

impl TypedOp for OwnConvolution {
    fn output_facts(&self, _inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(f32::fact(self.out_shape())))
    }

    as_op!();
}
