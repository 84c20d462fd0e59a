//! Coordinates: the numbers of cells into `[x, y]`.

/// Puts the coordinates of row-major cells of a map with rows of `n_y` cells where `rows` say.
pub(crate) fn put<R>(
    cells: &[u32],
    n_y: u32,
    rows: impl Iterator<Item = R>,
    mut put: impl FnMut(R, [i64; 2]),
) {
    let n_y = u64::from(n_y);
    let exact = (1 << 32) / n_y;
    if cells.iter().all(|&cell| u64::from(cell) < exact) {
        // Times a reciprocal that is rounded up, which is right for all cells below itself: a division takes several times
        // as long, and no processor does some of them side by side.
        let reciprocal = exact + 1;
        for (row, &cell) in rows.zip(cells) {
            let cell = u64::from(cell);
            let x = (cell * reciprocal) >> 32;
            put(row, [x as i64, (cell - x * n_y) as i64]);
        }
    } else {
        for (row, &cell) in rows.zip(cells) {
            let cell = u64::from(cell);
            put(row, [(cell / n_y) as i64, (cell % n_y) as i64]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reciprocals_divide() {
        let lengths = (1..300).chain([1_000, 4_095, 65_535, 65_536, 1 << 24, u32::MAX]);
        for n_y in lengths {
            let edge = (1_u64 << 32) / u64::from(n_y);
            let near = |cell: u64| cell.saturating_sub(40)..cell + 40;
            let cells: Vec<u32> = (near(0).chain(near(u64::from(n_y) * 7)).chain(near(edge)))
                .map(|cell| cell.min(u64::from(u32::MAX)) as u32)
                .collect();
            // With those beyond the edge, and without.
            let below: Vec<u32> = (cells.iter().copied())
                .filter(|&cell| u64::from(cell) < edge)
                .collect();
            for cells in [cells, below] {
                let mut coords = vec![[-1, -1]; cells.len()];
                put(&cells, n_y, coords.iter_mut(), |row, at| *row = at);
                let (cells, n_y) = (cells.iter().map(|&cell| i64::from(cell)), i64::from(n_y));
                let expected = cells.map(|cell| [cell / n_y, cell % n_y]);
                assert!(coords.into_iter().eq(expected), "rows of {n_y}");
            }
        }
    }
}
