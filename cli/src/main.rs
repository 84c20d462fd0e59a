//! The command-line program of peakmask.
fn main() {}
