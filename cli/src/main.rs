//! The command-line program of peakmask.

mod args;
mod budget;
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
mod terminal;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use peakmask::CancelToken;

use crate::args::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    terminal::show_warnings();
    match execute(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            terminal::say(&format!("error: {failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn execute(cli: Cli) -> Result<(), Failure> {
    let cancel = CancelToken::new();
    signals::listen(&cancel).map_err(Failure::Other)?;
    match cli.command {
        Command::Run(args) => run::run(&args, &cancel),
        Command::Picture(args) => picture::picture(&args, &cancel),
        Command::Page(args) => page::page(&args, &cancel),
        Command::Info(args) => print(&info::info(args, &cancel)?),
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
