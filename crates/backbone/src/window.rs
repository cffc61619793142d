//! Where a convolution's window lies on its input, and how the input is padded for it.

/// The sizes of a convolution of one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    pub height: usize,
    pub width: usize,
    pub out_height: usize,
    pub out_width: usize,
    /// Height and width of the kernel, and the same order below.
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub dilation: [usize; 2],
    /// Rows above and columns left of the input that count as zeros. What lies below and right
    /// follows from the output's size.
    pub pad: [usize; 2],
}

impl Window {
    /// Number of weights a window has for each channel.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Number of pixels of one channel of the input.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    /// Number of pixels of one channel of the output.
    pub fn out_pixels(&self) -> usize {
        self.out_height * self.out_width
    }

    /// The shape of the output with channels first.
    pub fn out_shape(&self, channels: usize) -> [usize; 4] {
        [1, channels, self.out_height, self.out_width]
    }

    /// The shape of the output with channels last.
    pub fn out_shape_last(&self, channels: usize) -> [usize; 4] {
        [1, self.out_height, self.out_width, channels]
    }

    /// Whether output pixels and input pixels are the same.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1]
            && self.stride == [1, 1]
            && self.pad == [0, 0]
            && (self.height, self.width) == (self.out_height, self.out_width)
    }

    /// Height and width of the input with all zeros around that the windows touch.
    pub fn padded(&self) -> [usize; 2] {
        [self.span(self.out_height, 0), self.span(self.out_width, 1)]
    }

    /// How many rows of the input so many neighbouring rows of the output see, at most.
    pub fn rows_seen_by(&self, out_rows: usize) -> usize {
        self.span(out_rows, 0).min(self.height)
    }

    /// The end of the input's rows that the output's rows see up to the given end.
    pub fn rows_seen_until(&self, out_end: usize) -> usize {
        self.span(out_end, 0).saturating_sub(self.pad[0]).min(self.height)
    }

    /// How far the windows of so many neighbouring rows (or columns) reach.
    fn span(&self, out: usize, axis: usize) -> usize {
        (out - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis] + 1
    }
}
