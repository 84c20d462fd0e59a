//! Memory layouts of a 3-D array, for inputs and outputs.

use std::fmt;

use ndarray::{Array3, ArrayBase, ArrayView3, ArrayViewMut3, Axis, Ix3, RawData, Slice};

/// How the elements of `(x, y, t)` lie in memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The axes from the slowest to the fastest: `[0, 1, 2]` is C order, `[2, 0, 1]` an array `(t, x, y)`.
    order: [usize; 3],
    /// Axes that run backwards.
    reversed: [bool; 3],
    /// Every how many elements of memory there is one of the array.
    step: [usize; 3],
    /// Elements of memory before and after the array along each axis: with 0 everywhere it can be contiguous.
    margin: usize,
}

impl Layout {
    pub(crate) const C: Self = Self {
        order: [0, 1, 2],
        reversed: [false; 3],
        step: [1; 3],
        margin: 0,
    };
    pub(crate) const FORTRAN: Self = Self {
        order: [2, 1, 0],
        ..Self::C
    };
    /// An array `(t, x, y)`.
    pub(crate) const TXY: Self = Self {
        order: [2, 0, 1],
        ..Self::C
    };
    /// An array `(x, t, y)`.
    pub(crate) const XTY: Self = Self {
        order: [0, 2, 1],
        ..Self::C
    };

    /// All orders of axes, plain and as a part of a larger array; every axis reversed, and all of them; every axis
    /// stepped.
    pub(crate) fn all() -> Vec<Self> {
        let orders = [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ];
        let plain = orders.map(|order| Self { order, ..Self::C });
        let parts = plain.map(|layout| Self {
            margin: 3,
            ..layout
        });
        let flags = |axis| std::array::from_fn(|a| a == axis);
        let mut layouts = [plain, parts].concat();
        for base in [Self::C, Self::TXY] {
            layouts.push(Self {
                reversed: [true; 3],
                ..base
            });
            for axis in 0..3 {
                layouts.push(Self {
                    reversed: flags(axis),
                    ..base
                });
                layouts.push(Self {
                    step: flags(axis).map(|stepped: bool| if stepped { 3 } else { 1 }),
                    ..base
                });
            }
        }
        layouts
    }

    /// Any of [`all`](Self::all), or a mixture of their traits.
    pub(crate) fn draw(rng: &mut fastrand::Rng) -> Self {
        let all = Self::all();
        let mut layout = all[rng.usize(..all.len())];
        if rng.bool() {
            layout.reversed = std::array::from_fn(|_| rng.u8(..3) == 0);
            layout.margin = rng.usize(..4);
        }
        layout
    }

    /// The lengths of the memory's axes, slowest first.
    fn memory_shape(self, shape: [usize; 3]) -> [usize; 3] {
        self.order
            .map(|axis| 2 * self.margin + (shape[axis].max(1) - 1) * self.step[axis] + 1)
    }

    /// The number of elements of memory that an array of this shape takes.
    fn memory_len(self, shape: [usize; 3]) -> usize {
        self.memory_shape(shape).iter().product()
    }

    /// The array `(x, y, t)` within its memory.
    fn arrange<S: RawData>(
        self,
        mut memory: ArrayBase<S, Ix3>,
        shape: [usize; 3],
    ) -> ArrayBase<S, Ix3> {
        let mut place = [0; 3];
        for (k, &axis) in self.order.iter().enumerate() {
            place[axis] = k;
            let end = self.margin + shape[axis].saturating_sub(1) * self.step[axis] + 1;
            let end = if shape[axis] == 0 { self.margin } else { end };
            let part = Slice::new(
                self.margin as isize,
                Some(end as isize),
                self.step[axis] as isize,
            );
            memory.slice_axis_inplace(Axis(k), part);
        }
        let mut array = memory.permuted_axes(place);
        for axis in (0..3).filter(|&axis| self.reversed[axis]) {
            array.invert_axis(Axis(axis));
        }
        array
    }
}

impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |axes: [usize; 3]| axes.map(|axis| ["x", "y", "t"][axis]).join(", ");
        write!(
            f,
            "memory ({}), margin {}, steps {:?}, reversed {:?}",
            name(self.order),
            self.margin,
            self.step,
            self.reversed
        )
    }
}

/// Elements before and after each memory block: odd, so that nothing is aligned.
const GUARD: usize = 67;

/// An array `(x, y, t)` laid out in memory of its own, with foreign elements around and between its own.
#[derive(Clone)]
pub(crate) struct Placed<A> {
    layout: Layout,
    shape: [usize; 3],
    memory: Vec<A>,
}

impl<A: Copy + PartialEq> Placed<A> {
    /// A copy of `array`; `foreign` tells the other elements, by their position in memory.
    pub(crate) fn new(
        array: ArrayView3<'_, A>,
        layout: Layout,
        foreign: impl FnMut(usize) -> A,
    ) -> Self {
        let (n_x, n_y, n_t) = array.dim();
        let shape = [n_x, n_y, n_t];
        let mut placed = Self {
            layout,
            shape,
            memory: (0..2 * GUARD + layout.memory_len(shape))
                .map(foreign)
                .collect(),
        };
        placed.view_mut().assign(&array);
        placed
    }

    pub(crate) fn view(&self) -> ArrayView3<'_, A> {
        let inner = &self.memory[GUARD..self.memory.len() - GUARD];
        let memory = ArrayView3::from_shape(self.layout.memory_shape(self.shape), inner)
            .expect("the length was computed from the shape");
        self.layout.arrange(memory, self.shape)
    }

    pub(crate) fn view_mut(&mut self) -> ArrayViewMut3<'_, A> {
        let end = self.memory.len() - GUARD;
        let memory = ArrayViewMut3::from_shape(
            self.layout.memory_shape(self.shape),
            &mut self.memory[GUARD..end],
        )
        .expect("the length was computed from the shape");
        self.layout.arrange(memory, self.shape)
    }

    /// The number of elements of memory.
    pub(crate) fn len(&self) -> usize {
        self.memory.len()
    }

    /// The first position in memory, outside the array itself, where this and `before` differ.
    pub(crate) fn first_foreign_change(&self, before: &Self) -> Option<usize> {
        let mut expected = before.clone();
        expected.view_mut().assign(&self.view());
        self.memory
            .iter()
            .zip(&expected.memory)
            .position(|(found, expected)| found != expected)
    }
}

impl Placed<bool> {
    /// An output for masks, as analysis finds it: all true, among canaries.
    pub(crate) fn output(shape: [usize; 3], layout: Layout) -> Self {
        let canary = |at: usize| at.wrapping_mul(0x9e37_79b9).count_ones().is_multiple_of(2);
        Self::new(Array3::from_elem(shape, true).view(), layout, canary)
    }

    /// Changes one element of memory: what a careless engine would do.
    pub(crate) fn flip(&mut self, at: usize) {
        self.memory[at] = !self.memory[at];
    }
}
