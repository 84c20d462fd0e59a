//! What a bench says in JSON, to be kept as a raw result: `benches/peers/results.py` has the whole form.

use std::io::Write;

use peakmask::InstructionSet;
use serde_json::{Value as Json, json};

/// Prints the cases of a bench, each with its [`equality`], in one line.
pub(crate) fn say(cases: &[Json]) {
    let said = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "instruction_set": InstructionSet::detect().to_string(),
        "cases": cases,
    });
    writeln!(std::io::stdout(), "{said}").expect("standard output");
}

/// To be called after the comparison: so many time bins were equal, to the bit, to those of another way.
pub(crate) fn equality(with: &str, bins: usize) -> Json {
    json!({with: {"bins": bins, "equal": true}})
}
