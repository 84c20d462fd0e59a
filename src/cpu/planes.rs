//! Bit planes: for each map row and lane the cells of the row, one bit each, in words of 64.

/// Where the words of a plane lie: `[map row][word][lane]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planes {
    pub(super) n_x: usize,
    pub(super) n_y: usize,
    /// Words of a map row.
    pub(super) words: usize,
    pub(super) lanes: usize,
}

impl Planes {
    pub(super) fn new(n_x: usize, n_y: usize, lanes: usize) -> Self {
        Self {
            n_x,
            n_y,
            words: n_y.div_ceil(64),
            lanes,
        }
    }

    /// Words of a plane.
    #[inline(always)]
    pub(super) fn len(self) -> usize {
        self.n_x * self.words * self.lanes
    }

    /// Where word `w` of map row `x` lies, for one lane.
    #[inline(always)]
    pub(super) fn word(self, x: usize, w: usize, lane: usize) -> usize {
        (x * self.words + w) * self.lanes + lane
    }
}
