//! The program as a user meets it: arguments in, files, sentences and exit codes out.

mod filters;
mod gpu;
mod help;
mod info;
#[cfg(unix)]
mod interrupt;
mod levels;
mod lists;
mod memory;
mod page;
mod picture;
mod refusals;
mod run;
mod stream;
mod summary;
mod support;
