//! Columns of peaks that several threads fill at once, and fresh memory: growth, page advice, first touch.

use std::cell::UnsafeCell;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use ndarray::Array3;
use rayon::ThreadPool;
use rayon::prelude::*;

use crate::analysis::Peaks;
use crate::coordinates;
use crate::element::Element;
use crate::error::Error;
use crate::findings::FoundPeaks;
use crate::memory::MAPPED;

/// The columns of the caller's [`Peaks`] while an analysis fills them.
///
/// Rows are reserved one batch after another and written later, by any thread and in any order, while others write
/// theirs. Only growth, which is rare, waits until nobody writes.
pub(crate) struct Columns<T> {
    storage: RwLock<Storage<T>>,
    /// Rows that were there before, and have to stay.
    before: usize,
    /// The first row that nobody has reserved.
    reserved: AtomicUsize,
    /// Reserved rows that have been written.
    written: AtomicUsize,
    /// Cells of a map row, by which a cell's number becomes a position.
    n_y: u32,
}

struct Storage<T> {
    coords: Column<[i64; 2]>,
    prominences: Column<T>,
    heights: Column<T>,
}

/// Peaks, and rows for them: cells, heights and bases; coordinates, prominences and heights.
type Piece<'a, T> = (
    &'a [u32],
    &'a [T],
    &'a [T],
    &'a mut [MaybeUninit<[i64; 2]>],
    &'a mut [MaybeUninit<T>],
    &'a mut [MaybeUninit<T>],
);

/// Rows that their holder alone may write, once.
#[derive(Debug)]
pub(crate) struct Rows(Range<usize>);

impl Rows {
    /// The number of the first row.
    pub(crate) fn first(&self) -> usize {
        self.0.start
    }
}

impl<T: Element> Columns<T> {
    /// Takes the columns out of `peaks`, to append rows to them.
    pub(crate) fn open(peaks: &mut Peaks<T>, n_y: usize) -> Self {
        let before = peaks.len();
        Self {
            storage: RwLock::new(Storage {
                coords: Column::open(std::mem::take(&mut peaks.coords)),
                prominences: Column::open(std::mem::take(&mut peaks.prominences)),
                heights: Column::open(std::mem::take(&mut peaks.heights)),
            }),
            before,
            reserved: AtomicUsize::new(before),
            written: AtomicUsize::new(before),
            n_y: n_y as u32,
        }
    }

    /// Reserves the next `n` rows, and makes room for them: at first for as many as are `assumed`, later for a quarter more
    /// than there are.
    pub(crate) fn reserve(&self, n: usize, assumed: u64) -> Result<Rows, Error> {
        let first = self.reserved.fetch_add(n, Ordering::Relaxed);
        let rows = first..first + n;
        let room = {
            let storage = self.storage.read().unwrap_or_else(PoisonError::into_inner);
            storage.room()
        };
        if room < rows.end {
            let mut storage = self.storage.write().unwrap_or_else(PoisonError::into_inner);
            let assumed = usize::try_from(assumed).unwrap_or(0);
            let roomy = if first == self.before {
                first + assumed
            } else {
                first
            };
            storage.coords.grow(rows.end, roomy, assumed)?;
            storage.prominences.grow(rows.end, roomy, assumed)?;
            storage.heights.grow(rows.end, roomy, assumed)?;
        }
        Ok(Rows(rows))
    }

    /// Writes peaks into the rows that were reserved for them, on the threads of a pool, if there is one.
    pub(crate) fn write(&self, rows: Rows, found: &FoundPeaks<T>, pool: Option<&ThreadPool>) {
        /// Rows that a thread writes in one piece.
        const PIECE: usize = 1 << 14;
        let Rows(rows) = rows;
        assert_eq!(rows.len(), found.cells.len(), "a row for each peak");
        let n = rows.len();
        let storage = self.storage.read().unwrap_or_else(PoisonError::into_inner);
        let coords = storage.coords.rows(&rows);
        let prominences = storage.prominences.rows(&rows);
        let heights = storage.heights.rows(&rows);
        match pool.filter(|_| n > PIECE) {
            None => self.write_piece((
                &found.cells,
                &found.heights,
                &found.bases,
                coords,
                prominences,
                heights,
            )),
            Some(pool) => pool.install(|| {
                let pieces = (
                    found.cells.par_chunks(PIECE),
                    found.heights.par_chunks(PIECE),
                    found.bases.par_chunks(PIECE),
                    coords.par_chunks_mut(PIECE),
                    prominences.par_chunks_mut(PIECE),
                    heights.par_chunks_mut(PIECE),
                );
                let pieces = pieces.into_par_iter();
                pieces.for_each(|piece| self.write_piece(piece));
            }),
        }
        self.written.fetch_add(n, Ordering::Release);
    }

    fn write_piece(&self, piece: Piece<'_, T>) {
        let (cells, found, bases, coords, prominences, heights) = piece;
        coordinates::put(cells, self.n_y, coords.iter_mut(), |row, at| {
            row.write(at);
        });
        for ((row, &height), &base) in prominences.iter_mut().zip(found).zip(bases) {
            row.write(T::prominence(height, base));
        }
        for (row, &height) in heights.iter_mut().zip(found) {
            row.write(height);
        }
    }

    /// Gives the columns back: with all rows, if they are `wanted` and every reserved row has been written, else as they were.
    pub(crate) fn close(self, peaks: &mut Peaks<T>, wanted: bool) {
        let storage = self
            .storage
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let all = self.reserved.into_inner();
        let written = self.written.into_inner();
        let rows = if wanted && written == all {
            all
        } else {
            self.before
        };
        peaks.coords = storage.coords.close(rows);
        peaks.prominences = storage.prominences.close(rows);
        peaks.heights = storage.heights.close(rows);
    }
}

impl<T> Storage<T> {
    /// Rows for which every column has room.
    fn room(&self) -> usize {
        self.coords
            .cells
            .len()
            .min(self.prominences.cells.len())
            .min(self.heights.cells.len())
    }
}

/// A column with all its room, whose first rows hold values.
struct Column<C> {
    cells: Vec<UnsafeCell<MaybeUninit<C>>>,
}

// SAFETY: shared, a column is only asked for rows by `Columns::write`, with ranges that `Columns::reserve` made disjoint.
#[expect(unsafe_code, reason = "rows that several threads write")]
unsafe impl<C: Send> Sync for Column<C> {}

#[expect(unsafe_code, reason = "rows that several threads write")]
impl<C: Copy> Column<C> {
    /// Takes a column over: its rows, and the room behind them.
    fn open(column: Vec<C>) -> Self {
        let mut column = ManuallyDrop::new(column);
        let (start, room) = (column.as_mut_ptr(), column.capacity());
        // SAFETY: pointer and capacity are the vector's own, which is not dropped. A cell that need not hold a value has the
        // layout of the value, so all of the room counts as its length.
        let cells = unsafe { Vec::from_raw_parts(start.cast(), room, room) };
        Self { cells }
    }

    /// Makes room for `needed` rows, or for `roomy` ones if that is more; where `assumed` rows were to come in all, in steps
    /// of a size that befits them. What is large has a mapping of its own from the first: outgrown, it would leave a hole in the heap.
    fn grow(&mut self, needed: usize, roomy: usize, assumed: usize) -> Result<(), Error> {
        // Where few rows are to come, a mapping does not matter, and address space may.
        let (len, size) = (self.cells.len(), size_of::<C>());
        if needed <= len {
            return Ok(());
        }
        let first = needed.max(roomy);
        let room = match len {
            0 if first.saturating_mul(size) < ADVISED => first,
            0 => first.max(MAPPED / size),
            _ => first
                .max(len + len / 4)
                .max((MAPPED / size).min(assumed.saturating_mul(4))),
        };
        // Where address space is scarce, what is needed will do.
        self.cells
            .try_reserve_exact(room - len)
            .or_else(|_| self.cells.try_reserve_exact(needed - len))
            .map_err(|_| Error::OutOfMemory {
                bytes: (room * size) as u64,
            })?;
        let room = self.cells.capacity();
        // SAFETY: a cell that need not hold a value is valid whatever its memory holds.
        unsafe { self.cells.set_len(room) };
        advise(self.cells.as_ptr().cast(), room * size);
        Ok(())
    }

    /// The rows of a range that nobody else looks at.
    #[expect(clippy::mut_from_ref, reason = "the rows are cells")]
    fn rows(&self, rows: &Range<usize>) -> &mut [MaybeUninit<C>] {
        let cells = &self.cells[rows.clone()];
        // SAFETY: a slice of cells may be written where nobody else reads or writes it. `Columns::reserve` hands every row out
        // once, as `Rows`, which `Columns::write` takes by value and alone turns into a slice, once for each column; the read
        // lock that it holds keeps the cells where they are.
        unsafe { std::slice::from_raw_parts_mut(UnsafeCell::raw_get(cells.as_ptr()), cells.len()) }
    }

    /// Gives the column back; its first `len` rows hold values.
    fn close(self, len: usize) -> Vec<C> {
        let mut cells = ManuallyDrop::new(self.cells);
        let (start, room) = (cells.as_mut_ptr(), cells.capacity());
        assert!(len <= room, "a column has at most {room} rows");
        // SAFETY: as in `open`. `Columns::close` counts only rows that were there before, or have all been written.
        unsafe { Vec::from_raw_parts(start.cast(), len, room) }
    }
}

/// Gives back the room that was not needed.
pub(crate) fn shrink<T>(peaks: &mut Peaks<T>) {
    peaks.coords.shrink_to_fit();
    peaks.prominences.shrink_to_fit();
    peaks.heights.shrink_to_fit();
}

/// An empty mask, of booleans or bytes of bits, whose memory is touched only when it is written.
pub(crate) fn mask<A: bytemuck::Zeroable>(
    shape: (usize, usize, usize),
) -> Result<Array3<A>, Error> {
    let len = shape.0 * shape.1 * shape.2;
    let out_of_memory = |_| Error::OutOfMemory { bytes: len as u64 };
    let cells: Vec<A> = bytemuck::allocation::try_zeroed_vec(len).map_err(out_of_memory)?;
    advise(cells.as_ptr().cast(), len);
    Array3::from_shape_vec(shape, cells).map_err(|_| out_of_memory(()))
}

/// So many bytes hold a huge page, wherever they begin.
const ADVISED: usize = 4 << 20;

/// Asks for huge pages: fresh memory costs as much as the work of filling it, and small pages several times more.
///
/// The advice covers the pages of both ends whole. Advice for the middle alone would split the mapping in the kernel, and
/// an allocator can then no longer move it by its page table when it grows: it copies, and needs the memory twice.
#[cfg(all(target_os = "linux", not(miri)))]
#[expect(unsafe_code, reason = "page advice")]
fn advise(start: *const u8, bytes: usize) {
    const PAGE: usize = 4096;
    if bytes >= ADVISED {
        let skip = start.addr() % PAGE;
        // SAFETY: the advice changes how pages are backed, never what they hold, whosever they are. A refusal changes
        // nothing, and is not an error.
        unsafe {
            libc::madvise(
                start.wrapping_sub(skip).cast_mut().cast(),
                (skip + bytes).next_multiple_of(PAGE),
                libc::MADV_HUGEPAGE,
            );
        }
    }
}

#[cfg(any(not(target_os = "linux"), miri))]
fn advise(_start: *const u8, _bytes: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Few bins take little room: what is taken beyond the need follows what was to come.
    #[test]
    #[cfg_attr(miri, ignore = "an allocator that has no more ends Miri")]
    fn room_befits_the_rows_that_are_to_come() {
        for (assumed, range) in [(100, 101..1_000), (1 << 30, 2 << 20..3 << 20)] {
            let mut column = Column::open(Vec::<[i64; 2]>::new());
            column.grow(100, 100, assumed).unwrap();
            column.grow(101, 100, assumed).unwrap();
            let room = column.cells.len();
            assert!(range.contains(&room), "{room}");
        }
        for (first, room) in [(1_000, 1_000), (1 << 18, MAPPED / 16), (1 << 22, 1 << 22)] {
            let mut column = Column::open(Vec::<[i64; 2]>::new());
            column.grow(1, first, first).unwrap();
            assert_eq!(column.cells.len(), room);
        }
        let mut column = Column::open(vec![0_u8]);
        let bytes = isize::MAX as u64;
        let refused = column.grow(isize::MAX as usize, 0, 0);
        assert_eq!(refused, Err(Error::OutOfMemory { bytes }));
        assert_eq!(
            mask::<bool>((1, 1, isize::MAX as usize)).map(|_| ()),
            Err(Error::OutOfMemory { bytes })
        );
    }

    fn found(first: usize, n: usize) -> FoundPeaks<f64> {
        let heights: Vec<f64> = (first..first + n).map(|row| row as f64).collect();
        FoundPeaks {
            counts: vec![n as u32],
            cells: (first..first + n).map(|row| row as u32).collect(),
            bases: vec![0.0; n],
            heights,
        }
    }

    /// Rows reserved in order and written by many threads, while the columns grow.
    #[test]
    fn rows_are_what_one_thread_would_have_written() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
        let pool = pool.expect("threads");
        for (before, pool) in [(0, None), (7, None), (3, Some(&pool))] {
            let mut peaks = Peaks::new();
            for row in 0..before {
                peaks.coords.push([row / 10, row % 10]);
                peaks.heights.push(row as f64);
                peaks.prominences.push(row as f64);
            }
            let columns = Columns::open(&mut peaks, 10);
            let mut first = before as usize;
            std::thread::scope(|threads| {
                for n in [1, 0, 3, 40_000, 2, 90_000, 1, 300_000] {
                    let rows = columns.reserve(n, 5).unwrap();
                    assert_eq!(rows.first(), first);
                    let (columns, at) = (&columns, first);
                    threads.spawn(move || columns.write(rows, &found(at, n), pool));
                    first += n;
                }
            });
            columns.close(&mut peaks, true);
            assert_eq!(peaks.len(), first);
            for row in 0..first {
                let at = row as i64;
                assert_eq!(peaks.coords[row], [at / 10, at % 10]);
                assert_eq!(
                    (peaks.heights[row], peaks.prominences[row]),
                    (row as f64, row as f64)
                );
            }
        }
    }

    #[test]
    fn what_was_not_written_is_not_there() {
        let mut peaks = Peaks::new();
        let columns = Columns::open(&mut peaks, 1);
        let rows = columns.reserve(2, 0).unwrap();
        columns.write(rows, &found(0, 2), None);
        let _lost = columns.reserve(3, 0).unwrap();
        columns.close(&mut peaks, true);
        assert!(peaks.is_empty());
    }
}
