//! The command-line program of peakmask.

mod allocator;
mod args;
mod budget;
mod drivers;
mod failure;
mod info;
mod input;
mod marks;
mod npy;
mod output;
mod page;
mod picture;
mod report;
mod run;
mod sheet;
mod signals;
mod table;
mod terminal;

use std::io::{self, Write as _};

use clap::Parser as _;
use peakmask::CancelToken;

use crate::args::{Cli, Command};
use crate::failure::Failure;

fn main() {
    terminal::show_warnings();
    let code = match execute() {
        Ok(()) => 0,
        Err(failure) => {
            terminal::say(&format!("error: {failure}"));
            failure.exit_code()
        }
    };
    let _ = io::stdout().flush();
    // Drivers have code of their own for the end of a process, and may be at work.
    signals::end_at_once(code.into())
}

fn execute() -> Result<(), Failure> {
    let cancel = CancelToken::new();
    signals::listen(&cancel).map_err(Failure::Other)?;
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Run(args) => run::run(&args, &cancel),
        Command::Summary(args) => run::run(&args.run(), &cancel),
        Command::Picture(args) => picture::picture(&args, &cancel),
        Command::Page(args) => page::page(&args, &cancel),
        Command::Info(args) => info::info(args, &cancel).and_then(|text| print(&text)),
        Command::TryDrivers(args) => drivers::try_out(&args),
    };
    match result {
        // Whatever became of what was given up.
        Err(_) if cancel.is_cancelled() => Err(Failure::Interrupted),
        result => result,
    }
}

/// Prints to the standard output; whoever closed it has read enough.
fn print(text: &str) -> Result<(), Failure> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Other(format!(
            "the standard output cannot be written ({error})"
        ))),
        _ => Ok(()),
    }
}
