//! The command-line program of peakmask.

mod allocator;
mod animal;
mod args;
mod budget;
mod drivers;
mod failure;
mod info;
mod input;
mod levels;
mod lists;
mod marks;
mod npy;
mod output;
mod page;
mod pdf;
mod picture;
mod report;
mod run;
mod sheet;
mod signals;
mod stream;
mod table;
mod terminal;

use std::io::{self, Write as _};

use clap::Parser as _;
use peakmask::CancelToken;

use crate::args::{Cli, Command};
use crate::failure::Failure;

fn main() {
    quieten_drivers();
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

/// A layer of Mesa's that picks the GPU of the desktop prints to the standard error where there is no desktop. There it has
/// nothing to pick, and this variable, which is its own, leaves it out.
#[expect(unsafe_code, reason = "a variable of the environment")]
fn quieten_drivers() {
    const DESKTOP: [&str; 3] = ["DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"];
    const LEFT_OUT: &str = "NODEVICE_SELECT";
    let is_set = |name: &&str| std::env::var_os(name).is_some();
    if !DESKTOP.iter().chain([&LEFT_OUT]).any(is_set) {
        // SAFETY: no other thread has been started.
        unsafe { std::env::set_var(LEFT_OUT, "1") };
    }
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
        Command::TryDrivers(args) => {
            drivers::try_out(&args);
            Ok(())
        }
    };
    match result {
        // Whatever became of what was given up.
        Err(failure) if cancel.is_cancelled() && !matches!(failure, Failure::Paused(_)) => {
            Err(Failure::Interrupted)
        }
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
