//! The geometry of a sliding window.

/// Sizes of a convolution or pooling of one feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Of the input.
    pub height: usize,
    /// Of the input.
    pub width: usize,
    /// Of the output.
    pub out_height: usize,
    /// Of the output.
    pub out_width: usize,
    /// `[height, width]`, as everything below.
    pub kernel: [usize; 2],
    /// Steps from window to window.
    pub stride: [usize; 2],
    /// Steps from position to position in the kernel.
    pub dilation: [usize; 2],
    /// Zeros above and to the left of the input. Those below and to the right follow from the
    /// output's size.
    pub pad: [usize; 2],
}

impl Window {
    /// Number of positions in the kernel.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Number of pixels of an input channel.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Number of pixels of an output channel.
    pub fn out_pixels(&self) -> usize {
        self.out_height * self.out_width
    }

    /// The output's shape with channels first.
    pub fn out_shape(&self, channels: usize) -> [usize; 4] {
        [1, channels, self.out_height, self.out_width]
    }

    /// The output's shape with channels last.
    pub fn out_shape_last(&self, channels: usize) -> [usize; 4] {
        [1, self.out_height, self.out_width, channels]
    }

    /// Whether each output pixel sees just the input pixel at its place.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1]
            && self.stride == [1, 1]
            && self.pad == [0, 0]
            && (self.height, self.width) == (self.out_height, self.out_width)
    }

    /// Height and width of the input with the padding that windows touch.
    pub fn padded(&self) -> [usize; 2] {
        [self.span(self.out_height, 0), self.span(self.out_width, 1)]
    }

    /// The most input rows that this many consecutive output rows see.
    pub fn rows_seen_by(&self, out_rows: usize) -> usize {
        self.span(out_rows, 0).min(self.height)
    }

    /// The end of the input rows that the output rows before `out_end` see.
    pub fn rows_seen_until(&self, out_end: usize) -> usize {
        self.span(out_end, 0).saturating_sub(self.pad[0]).min(self.height)
    }

    /// How far the windows of consecutive output rows (or columns) reach.
    fn span(&self, out: usize, axis: usize) -> usize {
        (out - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }
}
