//! The CPU engine.

mod instruction_set;

pub use instruction_set::InstructionSet;
