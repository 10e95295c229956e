//! Windows whose places are known beforehand: sliding, full, multi-pass.

use super::{Window, WindowCounts, WindowError, ordered, take};
use crate::ask_tell::{AskTell, TellError};
use crate::permutation::Permutation;
use std::ops::Range;

/// How windows slide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlidingOptions {
    /// Items in a window; at least 2.
    pub size: usize,
    /// Places by which the next window is nearer to the head; from 1 to `size`. Two windows share `size − stride`
    /// items, and that many can travel from the tail to the head in one pass.
    pub stride: usize,
    /// Passes over the list; at least 1.
    pub passes: usize,
    /// Only the first so many items are reranked; the others stay where they are. `None` for all.
    pub depth: Option<usize>,
    /// Only the first so many ranks are wanted (top-k-only mode). `None` for all.
    pub top: Option<usize>,
}

impl Default for SlidingOptions {
    /// One pass of windows of 20 with stride 10 over all items (Sun et al. 2023, RankGPT).
    fn default() -> Self {
        SlidingOptions { size: 20, stride: 10, passes: 1, depth: None, top: None }
    }
}

/// The windows of one pass over `len` items, from the tail to the head. The pass ends with the window that starts
/// at 0: one that went on would lie inside it (FIRST, "exact stop rule"; FullRank, step 2). A list no longer than a
/// window is one window; the first one is shorter where the stride does not divide what is left. Fewer than 2 items
/// need none.
///
/// `size` must be at least 1 and `stride` from 1 to `size`, else there is no window.
pub fn window_ranges(len: usize, size: usize, stride: usize) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    if len < 2 || stride == 0 || stride > size {
        return ranges;
    }
    let mut end = len;
    loop {
        let start = end.saturating_sub(size);
        // With stride = size a single item may be left over; it has nobody to be compared with.
        if end - start > 1 {
            ranges.push(start..end);
        }
        if start == 0 {
            return ranges;
        }
        end -= stride;
    }
}

/// A list of windows that are asked one after the other, each in the place of the order so far.
#[derive(Clone, Debug)]
pub struct WindowSchedule {
    items: Vec<usize>,
    steps: Vec<(Range<usize>, usize)>,
    next: usize,
    open: Vec<Window>,
    counts: WindowCounts,
}

impl WindowSchedule {
    /// Sliding windows over `0..items` (RankGPT, Sun et al. 2023, §3.2). Windows longer than the list are cut to
    /// it.
    pub fn sliding(items: usize, options: &SlidingOptions) -> Result<WindowSchedule, WindowError> {
        WindowError::check("size", options.size, 2, usize::MAX)?;
        WindowError::check("stride", options.stride, 1, options.size)?;
        WindowError::check("passes", options.passes, 1, usize::MAX)?;
        let depth = options.depth.unwrap_or(items).min(items);
        let pass = window_ranges(depth, options.size, options.stride);
        let travel = (options.size - options.stride).max(1);
        let mut steps = Vec::new();
        for number in 0..options.passes {
            for range in &pass {
                let last = range.start == 0 && number + 1 == options.passes;
                let wanted = match options.top {
                    Some(top) if last => top.min(range.len()),
                    // With more passes, what is behind may still come up.
                    Some(_) if options.passes == 1 => travel.min(range.len()),
                    _ => range.len(),
                };
                steps.push((range.clone(), wanted));
            }
        }
        Ok(WindowSchedule::new(items, steps))
    }

    /// One window over all of `0..items`; only the first `top` ranks are wanted when that is given (FullRank).
    pub fn full(items: usize, top: Option<usize>) -> WindowSchedule {
        let wanted = top.map_or(items, |top| top.min(items));
        WindowSchedule::new(items, if items < 2 { Vec::new() } else { vec![(0..items, wanted)] })
    }

    /// The total order that training labels need (FullRank, "multi-pass sliding window"). One pass is sure of the
    /// first `size − stride` ranks only, as many as travel through; they are settled, and the next pass goes over
    /// the rest, until one window holds what is left. 100 items with windows of 20 and stride 10 take 9 + 8 + … + 1
    /// = 45 windows.
    pub fn multi_pass(items: usize, size: usize, stride: usize) -> Result<WindowSchedule, WindowError> {
        WindowError::check("size", size, 2, usize::MAX)?;
        WindowError::check("stride", stride, 1, size - 1)?;
        let mut steps = Vec::new();
        let mut settled = 0;
        loop {
            let left = items - settled;
            for range in window_ranges(left, size, stride) {
                steps.push((settled + range.start..settled + range.end, range.len()));
            }
            if left <= size {
                return Ok(WindowSchedule::new(items, steps));
            }
            settled += size - stride;
        }
    }

    fn new(items: usize, steps: Vec<(Range<usize>, usize)>) -> WindowSchedule {
        let counts = WindowCounts::default();
        let mut schedule =
            WindowSchedule { items: (0..items).collect(), steps, next: 0, open: Vec::new(), counts };
        schedule.open_next();
        schedule
    }

    fn open_next(&mut self) {
        self.open = match self.steps.get(self.next) {
            Some((range, wanted)) => {
                vec![Window { items: self.items[range.clone()].to_vec(), wanted: *wanted }]
            }
            None => Vec::new(),
        };
    }

    /// How many windows it asks in all.
    pub fn total(&self) -> usize {
        self.steps.len()
    }

    /// The order so far.
    pub fn order(&self) -> Permutation {
        Permutation::from_unique(self.items.clone())
    }

    /// What it has cost.
    pub fn counts(&self) -> WindowCounts {
        self.counts
    }
}

impl AskTell for WindowSchedule {
    type Question = Window;
    type Answer = Permutation;

    fn ask(&self) -> &[Window] {
        &self.open
    }

    fn tell(&mut self, answers: Vec<Permutation>) -> Result<(), TellError> {
        take(&self.open, &answers, &mut self.counts)?;
        for (window, answer) in self.open.iter().zip(&answers) {
            let range = self.steps[self.next].0.clone();
            self.items[range].copy_from_slice(&ordered(window, answer));
            self.next += 1;
        }
        self.open_next();
        Ok(())
    }
}
