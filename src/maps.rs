//! Maps from a stream of bytes, a piece of time bins at a time.

use std::io::{self, Read};

use ndarray::ArrayView3;

use crate::element::Element;

/// Maps that come one after the other from anything that can be read, a piece of time bins at a time.
///
/// The bytes are those of an array `(t, x, y)` in C order, in this machine's byte order: what a decoder writes into a pipe, what
/// lies in a file behind its header. The memory of one piece serves all. An array `(x, y, t)` in C order cannot be read in
/// pieces of bins from its beginning to its end; a file of one is mapped into memory, and a view of some of its bins passed to
/// [`Analyzer::run`](crate::Analyzer::run).
///
/// ```
/// use ndarray::Array3;
/// use peakmask::{Analyzer, MapReader, Options, Outputs, Peaks, analyze};
///
/// // Twenty time bins of 5 x 7 cells, as bytes.
/// let txy = Array3::from_shape_fn((20, 5, 7), |(t, x, y)| ((x * y + 3 * t) % 11) as f64);
/// let bytes: Vec<u8> = txy.iter().flat_map(|value| value.to_ne_bytes()).collect();
///
/// let mut maps = MapReader::new(bytes.as_slice(), [5, 7], 8);
/// let mut analyzer = Analyzer::new([5, 7], Options::new())?;
/// let mut peaks = Peaks::new();
/// while let Some(piece) = maps.next_piece()? {
///     analyzer.run(piece, Outputs::new().append_peaks(&mut peaks))?; // 8, 8, and 4 bins
/// }
/// assert_eq!(peaks, analyze(txy.view().permuted_axes([1, 2, 0]), &Options::new())?.peaks);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MapReader<R, T> {
    reader: R,
    shape: [usize; 2],
    /// Room for the values of a piece.
    values: Vec<T>,
    bins: usize,
}

impl<R: Read, T: Element> MapReader<R, T> {
    /// Maps of `[n_x, n_y]` cells, at most `bins` of them at a time, at least one. A multiple of eight bins lets pieces of packed
    /// masks lie side by side.
    pub fn new(reader: R, shape: [usize; 2], bins: usize) -> Self {
        Self {
            reader,
            shape,
            values: Vec::new(),
            bins: bins.max(1),
        }
    }

    /// The next time bins, `P[x, y, t]`, as many as were asked for or what is left; none at the end.
    ///
    /// # Errors
    /// As the reader; [`io::ErrorKind::UnexpectedEof`] when it ends inside a map, [`io::ErrorKind::InvalidInput`] when maps have
    /// no cells, [`io::ErrorKind::OutOfMemory`] when there is none for a piece.
    pub fn next_piece(&mut self) -> io::Result<Option<ArrayView3<'_, T>>> {
        let [n_x, n_y] = self.shape;
        let cells = n_x.checked_mul(n_y).filter(|&cells| cells > 0);
        let length = cells.and_then(|cells| cells.checked_mul(self.bins));
        let (Some(cells), Some(length)) = (cells, length) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if self.values.len() < length {
            let more = length - self.values.len();
            if self.values.try_reserve_exact(more).is_err() {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            self.values.resize(length, T::default());
        }
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut self.values[..length]);
        let mut filled = 0;
        while filled < bytes.len() {
            match self.reader.read(&mut bytes[filled..]) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let map = cells * size_of::<T>();
        if !filled.is_multiple_of(map) {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!(
                    "the maps end inside one: {} bytes of {map} are there; give whole maps of {n_x} x {n_y} cells",
                    filled % map
                ),
            ));
        }
        let bins = filled / map;
        if bins == 0 {
            return Ok(None);
        }
        ArrayView3::from_shape((bins, n_x, n_y), &self.values[..bins * cells])
            .map(|maps| Some(maps.permuted_axes([1, 2, 0])))
            .map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that yields few bytes at a time, and is interrupted in between.
    struct Slow<'a>(&'a [u8], bool);

    impl Read for Slow<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let n = to.len().min(3).min(self.0.len());
            to[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    #[test]
    fn pieces_are_whole_however_bytes_come() {
        let values: Vec<f32> = (0..6 * 7).map(|i| i as f32).collect();
        let mut maps =
            MapReader::<_, f32>::new(Slow(bytemuck::cast_slice(&values), false), [2, 3], 3);
        for (bins, first) in [(3, 0.0), (3, 18.0), (1, 36.0)] {
            let piece = maps.next_piece().unwrap().unwrap();
            assert_eq!((piece.dim(), piece[[0, 0, 0]]), ((2, 3, bins), first));
            assert_eq!(piece[[1, 2, 0]], first + 5.0);
        }
        assert!(maps.next_piece().unwrap().is_none());
    }

    #[test]
    fn an_end_inside_a_map_is_an_error() {
        let bytes = vec![0; 6 * 8 + 1];
        let mut maps = MapReader::<_, f64>::new(bytes.as_slice(), [2, 3], 4);
        let error = maps.next_piece().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(error.to_string().contains("1 bytes of 48"), "{error}");
        let mut none = MapReader::<_, f64>::new(bytes.as_slice(), [0, 3], 4);
        assert_eq!(
            none.next_piece().unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
