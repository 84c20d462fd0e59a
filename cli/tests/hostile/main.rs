//! What a hostile day brings: signals, disks that fill up, links that lead nowhere, inputs that lie, memory that ends, drivers
//! that hang. The program ends in time, with one sentence and the right exit code, and leaves nothing half done.

#[cfg(all(target_os = "linux", feature = "gpu"))]
mod cards;
#[cfg(target_os = "linux")]
mod drivers;
mod inputs;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(unix)]
mod mutated;
#[cfg(unix)]
mod outputs;
#[cfg(unix)]
mod signals;
#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "the other tests of the program use more of it")]
mod support;
#[cfg(unix)]
mod watch;
