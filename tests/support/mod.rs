//! What the test targets share: random posteriors, memory layouts, drawn maps, comparators, engines.

pub(crate) mod census;
pub(crate) mod compare;
pub(crate) mod drawing;
pub(crate) mod engine;
pub(crate) mod float;
pub(crate) mod generator;
pub(crate) mod layout;
pub(crate) mod summaries;
pub(crate) mod trial;
