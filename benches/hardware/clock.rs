//! Time limits: of a part, and of the whole run.

use std::time::{Duration, Instant};

/// A moment by which something has to be over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    end: Instant,
}

impl Clock {
    /// So many seconds from now.
    pub(crate) fn new(seconds: f64) -> Self {
        let start = Instant::now();
        Self {
            start,
            end: start + Duration::from_secs_f64(seconds),
        }
    }

    /// A part of this time: so many seconds from now, if there are so many left.
    pub(crate) fn part(self, seconds: f64) -> Self {
        let part = Self::new(seconds);
        Self {
            end: part.end.min(self.end),
            ..part
        }
    }

    /// Whether the time is over.
    pub(crate) fn over(self) -> bool {
        Instant::now() >= self.end
    }

    /// Seconds gone by.
    pub(crate) fn seconds(self) -> f64 {
        self.start.elapsed().as_secs_f64()
    }
}
