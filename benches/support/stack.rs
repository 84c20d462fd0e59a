//! A stack of maps in memory as a caller would hold it: one anonymous map, advised like NumPy's large arrays.

use bytemuck::Pod;
use memmap2::MmapMut;
use ndarray::{ArrayView3, ArrayViewMut3};
use peakmask::Element;

/// Which axis of the array is the fastest in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// C order `(x, y, t)`.
    Xyt,
    /// C order `(t, x, y)`, seen through `permuted_axes`.
    Txy,
}

/// How the array's memory is paged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Huge pages are advised, which is what NumPy does for its large arrays.
    Huge,
    /// Nothing is advised.
    Default,
}

/// `P[x, y, t]` in one piece of anonymous memory.
pub(crate) struct Stack<T> {
    memory: MmapMut,
    shape: [usize; 3],
    layout: Layout,
    element: std::marker::PhantomData<T>,
}

impl<T: Element + Pod> Stack<T> {
    /// Zeros of shape `[n_x, n_y, n_t]`, whatever the layout.
    pub(crate) fn zeros(shape: [usize; 3], layout: Layout, pages: Pages) -> Self {
        let bytes = shape.iter().product::<usize>() * size_of::<T>();
        let memory = MmapMut::map_anon(bytes).expect("memory for the input");
        #[cfg(target_os = "linux")]
        if pages == Pages::Huge {
            // A kernel without huge pages refuses the advice; the report of the page policy shows it.
            let _ = memory.advise(memmap2::Advice::HugePage);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = pages;
        Self {
            memory,
            shape,
            layout,
            element: std::marker::PhantomData,
        }
    }

    /// The stack as `P[x, y, t]`.
    pub(crate) fn view(&self) -> ArrayView3<'_, T> {
        let [n_x, n_y, n_t] = self.shape;
        let values = bytemuck::cast_slice(&self.memory);
        match self.layout {
            Layout::Xyt => ArrayView3::from_shape((n_x, n_y, n_t), values),
            Layout::Txy => {
                ArrayView3::from_shape((n_t, n_x, n_y), values).map(|p| p.permuted_axes([1, 2, 0]))
            }
        }
        .expect("as many values as the shape has")
    }

    /// The stack as `P[x, y, t]`, to be filled.
    pub(crate) fn view_mut(&mut self) -> ArrayViewMut3<'_, T> {
        let [n_x, n_y, n_t] = self.shape;
        let values = bytemuck::cast_slice_mut(&mut self.memory);
        match self.layout {
            Layout::Xyt => ArrayViewMut3::from_shape((n_x, n_y, n_t), values),
            Layout::Txy => ArrayViewMut3::from_shape((n_t, n_x, n_y), values)
                .map(|p| p.permuted_axes([1, 2, 0])),
        }
        .expect("as many values as the shape has")
    }

    /// The stack's memory as 64-bit words, less a last half word.
    pub(crate) fn words(&self) -> &[u64] {
        bytemuck::pod_align_to(&self.memory[..]).1
    }
}
