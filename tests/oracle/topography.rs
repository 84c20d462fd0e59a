//! The oracle of summits, saddles, parents and the land that each summit rules, as plainly as they can be said: every
//! answer floods the map anew. Neighbours are eight. Cells of NaN are absent.

use ndarray::{Array2, ArrayView2};

/// A cell of a map.
pub(crate) type Cell = (usize, usize);

/// A summit: a peak on its own, or a plateau that touches no equal cell outside it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Summit<T> {
    /// Its first cell in row-major order.
    pub(crate) cell: Cell,
    pub(crate) height: T,
    pub(crate) base: T,
    pub(crate) saddle: Option<Cell>,
    pub(crate) parent: Option<Cell>,
}

/// All summits of a map, in row-major order of their first cells; none of a map whose present cells are all equal.
pub(crate) fn summits<T: Copy + PartialOrd>(z: ArrayView2<'_, T>) -> Vec<Summit<T>> {
    cells(z)
        .filter(|&c| is_first_of_summit(z, c))
        .map(|cell| {
            let saddle = saddle(z, cell);
            let base = saddle.map_or_else(|| floor(z), |saddle| z[saddle]);
            let parent = highest(z, &reachable(z, cell, |c| z[c] >= base));
            Summit {
                cell,
                height: z[cell],
                base,
                saddle,
                parent: saddle.map(|_| parent),
            }
        })
        .collect()
}

/// For a peak: the highest level from which on, going down, higher ground can be reached; its own height for a cell of a
/// shoulder; the lowest value where there is no higher ground.
pub(crate) fn base<T: Copy + PartialOrd>(z: ArrayView2<'_, T>, peak: Cell) -> T {
    let mut levels: Vec<T> = cells(z)
        .filter(|&c| is_present(z, c))
        .map(|c| z[c])
        .collect();
    levels.sort_by(|a, b| b.partial_cmp(a).expect("present cells compare"));
    let plateau = reachable(z, peak, |c| z[c] >= z[peak]);
    if plateau.iter().any(|&c| z[c] > z[peak]) {
        return z[peak];
    }
    let first = plateau.iter().min().expect("the peak itself");
    levels
        .into_iter()
        .filter(|&level| level <= z[peak])
        .find(|&level| {
            reachable(z, peak, |c| z[c] >= level)
                .iter()
                .any(|&c| is_higher(z, &plateau, *first, c))
        })
        .unwrap_or_else(|| floor(z))
}

/// The first cell of the highest summit that can be reached from a cell without stepping below it.
pub(crate) fn ruler<T: Copy + PartialOrd>(z: ArrayView2<'_, T>, cell: Cell) -> Option<Cell> {
    let found = is_present(z, cell).then(|| highest(z, &reachable(z, cell, |c| z[c] >= z[cell])));
    found.filter(|&summit| z[summit] > floor(z))
}

/// Cells are added one at a time, in descending order of value, row-major among equals: the one whose coming connects a
/// summit to higher ground.
fn saddle<T: Copy + PartialOrd>(z: ArrayView2<'_, T>, summit: Cell) -> Option<Cell> {
    let mut order: Vec<Cell> = cells(z).filter(|&c| is_present(z, c)).collect();
    order.sort_by(|&a, &b| {
        z[b].partial_cmp(&z[a])
            .expect("present cells compare")
            .then(a.cmp(&b))
    });
    let mut there = Array2::from_elem(z.dim(), false);
    let plateau = reachable(z, summit, |c| z[c] >= z[summit]);
    order.into_iter().find(|&next| {
        there[next] = true;
        there[summit]
            && reachable(z, summit, |c| there[c])
                .iter()
                .any(|&c| is_higher(z, &plateau, summit, c))
    })
}

/// Whether a cell is higher than a summit with this plateau and first cell; of equal height, the first is.
fn is_higher<T: Copy + PartialOrd>(
    z: ArrayView2<'_, T>,
    plateau: &[Cell],
    first: Cell,
    c: Cell,
) -> bool {
    z[c] > z[first] || z[c] == z[first] && c < first && !plateau.contains(&c)
}

/// Whether nothing around the plateau of a cell is as high, no cell of it comes before, and something is lower.
fn is_first_of_summit<T: Copy + PartialOrd>(z: ArrayView2<'_, T>, cell: Cell) -> bool {
    if !is_present(z, cell) || z[cell] <= floor(z) {
        return false;
    }
    let plateau = reachable(z, cell, |c| z[c] >= z[cell]);
    plateau.iter().all(|&c| z[c] == z[cell] && c >= cell)
}

/// The first of the highest of these cells.
fn highest<T: Copy + PartialOrd>(z: ArrayView2<'_, T>, of: &[Cell]) -> Cell {
    let better = |a: Cell, b: Cell| z[b] > z[a] || z[b] == z[a] && b < a;
    of.iter()
        .copied()
        .reduce(|a, b| if better(a, b) { b } else { a })
        .expect("a cell")
}

fn floor<T: Copy + PartialOrd>(z: ArrayView2<'_, T>) -> T {
    cells(z)
        .filter(|&c| is_present(z, c))
        .map(|c| z[c])
        .reduce(|a, b| if b < a { b } else { a })
        .expect("a present cell")
}

/// All present cells that can be reached from one of them through cells that belong.
fn reachable<T: Copy + PartialOrd>(
    z: ArrayView2<'_, T>,
    from: Cell,
    belongs: impl Fn(Cell) -> bool,
) -> Vec<Cell> {
    let mut seen = Array2::from_elem(z.dim(), false);
    seen[from] = true;
    let mut reached = vec![from];
    let mut next = 0;
    while next < reached.len() {
        let (x, y) = reached[next];
        next += 1;
        for a in x.saturating_sub(1)..(x + 2).min(z.nrows()) {
            for b in y.saturating_sub(1)..(y + 2).min(z.ncols()) {
                if !seen[(a, b)] && is_present(z, (a, b)) && belongs((a, b)) {
                    seen[(a, b)] = true;
                    reached.push((a, b));
                }
            }
        }
    }
    reached
}

fn is_present<T: Copy + PartialOrd>(z: ArrayView2<'_, T>, c: Cell) -> bool {
    z[c].partial_cmp(&z[c]).is_some()
}

fn cells<T>(z: ArrayView2<'_, T>) -> impl Iterator<Item = Cell> + use<T> {
    let (n_x, n_y) = z.dim();
    (0..n_x).flat_map(move |x| (0..n_y).map(move |y| (x, y)))
}
