//! The windows of one register: reading their inputs and writing their outputs.

use std::ops::Range;

use crate::epilogue::Epilogue;
use crate::simd::{MAX_LANES, Simd};
use crate::window::Window;

/// The most outputs in a row of a group: two for each lane.
const MAX_OUTPUTS: usize = 2 * MAX_LANES;

/// Windows in a row, by the row and the first column of their 2x2 outputs.
#[derive(Debug)]
struct Run {
    row: usize,
    column: usize,
    count: usize,
}

/// As many windows as a register has lanes, or fewer at the end; lanes without a window are never
/// written.
#[derive(Debug)]
pub(super) struct Group {
    runs: Vec<Run>,
    lanes: usize,
}

impl Group {
    /// The group that starts with window `first` of `[rows, columns]`.
    pub(super) fn new(first: usize, lanes: usize, rows: usize, columns: usize) -> Self {
        let end = (first + lanes).min(rows * columns);
        let mut runs = Vec::new();
        let mut next = first;
        while next < end {
            let [row, column] = [next / columns, next % columns];
            let count = (columns - column).min(end - next);
            runs.push(Run { row: 2 * row, column: 2 * column, count });
            next += count;
        }
        Self { runs, lanes }
    }

    /// The run, if there is only one and it fills a register.
    fn whole(&self) -> Option<&Run> {
        self.runs.first().filter(|run| run.count == self.lanes)
    }

    /// The 4x4 inputs of each window in a padded plane.
    #[inline(always)]
    pub(super) fn read<S: Simd>(&self, plane: &[f32], width: usize) -> [[S; 4]; 4] {
        let mut window = [[S::splat(0.0); 4]; 4];
        if let Some(run) = self.whole() {
            for (line, columns) in window.iter_mut().enumerate() {
                let values = &plane[(run.row + line) * width + run.column..][..2 * S::LANES + 2];
                *columns = columns_of(values, &values[2..]);
            }
            return window;
        }
        let mut near = [0.0; MAX_OUTPUTS];
        let mut far = [0.0; MAX_OUTPUTS];
        for (line, columns) in window.iter_mut().enumerate() {
            let mut place = 0;
            for run in &self.runs {
                let values = &plane[(run.row + line) * width + run.column..][..2 * run.count + 2];
                let after = place + 2 * run.count;
                copy_short(&values[..2 * run.count], &mut near[place..after]);
                copy_short(&values[2..], &mut far[place..after]);
                place = after;
            }
            *columns = columns_of(&near, &far);
        }
        window
    }

    /// Writes the 2x2 outputs of each window, without those that lie outside.
    #[inline(always)]
    pub(super) fn write<S: Simd>(
        &self,
        outputs: [[S; 2]; 2],
        epilogue: Epilogue,
        plane: &mut [f32],
        window: &Window,
    ) {
        let [height, width] = [window.out_height, window.out_width];
        let whole =
            self.whole().filter(|run| run.row + 2 <= height && run.column + 2 * S::LANES <= width);
        for (line, [even, odd]) in outputs.into_iter().enumerate() {
            let (first, second) = S::interleave(even, odd);
            if let Some(run) = whole {
                let target = &mut plane[(run.row + line) * width + run.column..][..2 * S::LANES];
                epilogue.store(first, target);
                epilogue.store(second, &mut target[S::LANES..]);
                continue;
            }
            // Through a buffer: there may be several runs, and outputs that lie outside.
            let mut values = [0.0; MAX_OUTPUTS];
            if epilogue.accumulate {
                self.each_inside(line, window, |lanes, pixels| {
                    copy_short(&plane[pixels], &mut values[lanes]);
                });
            }
            epilogue.store(first, &mut values);
            epilogue.store(second, &mut values[S::LANES..]);
            self.each_inside(line, window, |lanes, pixels| {
                copy_short(&values[lanes], &mut plane[pixels]);
            });
        }
    }

    /// Calls `work` with where each run's outputs lie in a row of the group and in the plane.
    #[inline(always)]
    fn each_inside(
        &self,
        line: usize,
        window: &Window,
        mut work: impl FnMut(Range<usize>, Range<usize>),
    ) {
        let mut lane = 0;
        for run in &self.runs {
            if run.row + line < window.out_height {
                let count = (2 * run.count).min(window.out_width - run.column);
                let first = (run.row + line) * window.out_width + run.column;
                work(lane..lane + count, first..first + count);
            }
            lane += 2 * run.count;
        }
    }
}

/// One line of each window, by column, from its first two columns and its last two.
#[inline(always)]
fn columns_of<S: Simd>(near: &[f32], far: &[f32]) -> [S; 4] {
    let (a, b) = S::deinterleave(S::load(near), S::load(&near[S::LANES..]));
    let (c, d) = S::deinterleave(S::load(far), S::load(&far[S::LANES..]));
    [a, b, c, d]
}

/// Copies two values at a time: the rows of small feature maps are too short for a `memcpy`.
#[inline(always)]
fn copy_short(source: &[f32], target: &mut [f32]) {
    let pairs = source.chunks_exact(2).zip(target.chunks_exact_mut(2));
    for (source, target) in pairs {
        target.copy_from_slice(source);
    }
    if let [.., last] = target
        && !source.len().is_multiple_of(2)
    {
        *last = source[source.len() - 1];
    }
}
