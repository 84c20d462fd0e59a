//! Where the animal was, to be drawn over what was decoded.

use std::path::Path;

use crate::failure::Failure;
use crate::input::Input;
use crate::npy::{ArrayFile, Descr, tuple};

/// Time bins of the path that lead to where the animal is, as in the Python package's pictures.
const TAIL: usize = 40;

/// x and y in every time bin of an input, in cells; NaN where nobody knows.
#[derive(Debug)]
pub(crate) struct Animal(Vec<[f64; 2]>);

impl Animal {
    /// Reads a `.npy` file of shape `(n_t, 2)`; of a linear track, `(n_t,)` too.
    pub(crate) fn open(path: &Path, input: &Input) -> Result<Self, Failure> {
        let file = ArrayFile::open(path)?;
        if file.is_archive() {
            return Err(Failure::input(
                path,
                "is an archive; save the path of the animal as .npy",
            ));
        }
        let array = file.array(None)?;
        let [n_x, n_y, n_t] = input.shape();
        let track = n_x == 1 || n_y == 1;
        let columns = match array.header.shape.as_slice() {
            &[n, 2] if n == n_t => 2,
            &[n] if n == n_t && track => 1,
            shape => {
                return Err(array.unusable(format!(
                    "has shape {}, but {n_t} time bins need x and y each: ({n_t}, 2)",
                    tuple(shape)
                )));
            }
        };
        let &Descr::Plain {
            kind: 'f',
            size: size @ (4 | 8),
            ..
        } = &array.header.descr
        else {
            return Err(array.unusable(format!(
                "holds {}, but places are float64 or float32, in cells",
                array.header.descr.name()
            )));
        };
        let mut bytes = vec![0; array.checked_data_bytes()?];
        array.read(|reader| {
            reader
                .read_exact(&mut bytes)
                .map_err(|error| array.damaged(&error))
        })?;
        if array.header.descr.swapped() {
            bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        }
        let number = |i: usize| match size {
            4 => f64::from(bytemuck::pod_read_unaligned::<f32>(&bytes[4 * i..][..4])),
            _ => bytemuck::pod_read_unaligned(&bytes[8 * i..][..8]),
        };
        let place = |t: usize| match (columns, array.header.fortran_order) {
            (1, _) if n_x == 1 => [0.0, number(t)],
            (1, _) => [number(t), 0.0],
            (_, false) => [number(2 * t), number(2 * t + 1)],
            (_, true) => [number(t), number(n_t + t)],
        };
        Ok(Self((0..n_t).map(place).collect()))
    }

    /// The way to where it is in a time bin, from place to place, in runs without a gap: places that are not known, or not
    /// on a map of this size, part them.
    pub(crate) fn way(&self, bin: usize, size: (usize, usize)) -> Vec<Vec<[f64; 2]>> {
        let on_the_map = |place: &[f64; 2]| {
            [(place[0], size.0), (place[1], size.1)]
                .iter()
                .all(|&(at, n)| (-0.5..=n as f64 - 0.5).contains(&at))
        };
        self.0[bin.saturating_sub(TAIL)..=bin]
            .split(|place| !on_the_map(place))
            .filter(|run| !run.is_empty())
            .map(<[_]>::to_vec)
            .collect()
    }

    /// Where it is in a time bin, if that is known and on a map of this size.
    pub(crate) fn here(&self, bin: usize, size: (usize, usize)) -> Option<[f64; 2]> {
        let here = self.0[bin];
        let last = *self.way(bin, size).last()?.last()?;
        (here == last).then_some(here)
    }

    /// x and y of one time bin after another.
    pub(crate) fn places(&self, bins: std::ops::Range<usize>) -> Vec<f32> {
        self.0[bins]
            .as_flattened()
            .iter()
            .map(|&at| at as f32)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_has_gaps_and_a_length() {
        let nan = f64::NAN;
        let places = [[0.0, 0.0], [1.0, 1.0], [nan, 1.0], [2.0, 2.0], [9.0, 2.0]];
        let animal = Animal(places.to_vec());
        let size = (4, 4);
        assert_eq!(
            animal.way(3, size),
            [vec![[0.0, 0.0], [1.0, 1.0]], vec![[2.0, 2.0]]]
        );
        assert_eq!(animal.here(3, size), Some([2.0, 2.0]));
        assert_eq!(animal.here(2, size), None, "nobody knows");
        assert_eq!(animal.here(4, size), None, "beyond the map");
        let long = Animal(vec![[1.0, 1.0]; 100]);
        assert_eq!(long.way(99, size), [vec![[1.0, 1.0]; TAIL + 1]]);
        assert_eq!(long.places(98..100), [1.0_f32; 4]);
    }
}
