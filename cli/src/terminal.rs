//! What the user sees while the program works: progress bars, warnings and sentences, all on the standard error.

use std::fmt;
use std::io::{self, Write as _};
use std::sync::OnceLock;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use log::{LevelFilter, Log, Metadata, Record};

/// The bar that may be on the screen while a warning is printed.
static BAR: OnceLock<ProgressBar> = OnceLock::new();

/// Prints the library's warnings, above a progress bar if there is one. What GPU drivers and the layers above them say is
/// left out: the library puts into words of its own what matters of it.
struct Warnings;

impl Log for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::Level::Warn && metadata.target().starts_with("peakmask")
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            say(&format!("warning: {}", record.args()));
        }
    }

    fn flush(&self) {}
}

/// From now on warnings are printed.
pub(crate) fn show_warnings() {
    if log::set_logger(&Warnings).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}

/// One line in which nothing moves the cursor or changes colours: names of files and arrays may hold anything.
pub(crate) fn clean(line: impl fmt::Display) -> String {
    let mut clean = String::new();
    for letter in line.to_string().chars() {
        if letter.is_control() {
            clean.extend(letter.escape_default());
        } else {
            clean.push(letter);
        }
    }
    clean
}

/// Prints a line, above a progress bar if there is one.
pub(crate) fn say(line: &str) {
    let line = clean(line);
    let print = || {
        // A closed standard error is no reason to lose the result.
        let _ = writeln!(io::stderr(), "{line}");
    };
    match BAR.get() {
        Some(bar) => bar.suspend(print),
        None => print(),
    }
}

/// The one progress bar of the program; unseen when the standard error is no terminal, or the user wants quiet.
pub(crate) fn bar(quiet: bool) -> &'static ProgressBar {
    BAR.get_or_init(|| {
        let target = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        ProgressBar::with_draw_target(Some(0), target)
    })
}

/// Starts the bar anew, counting time bins.
pub(crate) fn count_bins(bar: &ProgressBar, total: usize) {
    start(
        bar,
        total as u64,
        "analysing [{wide_bar}] {human_pos}/{human_len} bins, {per_sec}, {eta} left",
    );
}

/// Starts the bar anew, counting bytes.
pub(crate) fn count_bytes(bar: &ProgressBar, total: u64) {
    start(
        bar,
        total,
        "writing   [{wide_bar}] {binary_bytes}/{binary_total_bytes}, {binary_bytes_per_sec}, {eta} left",
    );
}

fn start(bar: &ProgressBar, total: u64, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.reset();
    bar.set_length(total);
}
