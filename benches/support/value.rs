//! The element types of the benches.

use bytemuck::Pod;
use peakmask::Element;

use crate::check::Real;

/// An element type of the benches.
pub(crate) trait Value: Element + Pod + Real {
    /// The type's name in ids.
    const NAME: &'static str;
    /// The nearest value of this type.
    fn nearest(value: f64) -> Self;
    /// The same value as `f64`.
    fn wide(self) -> f64;
}

impl Value for f64 {
    const NAME: &'static str = "f64";
    fn nearest(value: f64) -> Self {
        value
    }
    fn wide(self) -> f64 {
        self
    }
}

impl Value for f32 {
    const NAME: &'static str = "f32";
    fn nearest(value: f64) -> Self {
        value as Self
    }
    fn wide(self) -> f64 {
        self.into()
    }
}
