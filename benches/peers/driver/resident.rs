//! Anonymous memory by the operating system's own figures (Linux; `None` elsewhere).

use std::fs;

/// Bytes of anonymous memory at the peak of `job` beyond those before it, and what the job yields.
pub(crate) fn peak_beyond_now<R>(job: impl FnOnce() -> R) -> (Option<i64>, R) {
    // "5" sets the high-water mark of resident memory back to what is resident now.
    let reset = fs::write("/proc/self/clear_refs", "5").ok();
    let before = status("RssAnon:");
    let result = job();
    (reset.and_then(|()| Some(peak()? - before?)), result)
}

fn peak() -> Option<i64> {
    Some(status("VmHWM:")? - status("RssFile:")? - status("RssShmem:")?)
}

/// Bytes that lie in huge pages.
pub(crate) fn huge() -> Option<i64> {
    field("/proc/self/smaps_rollup", "AnonHugePages:")
}

fn status(name: &str) -> Option<i64> {
    field("/proc/self/status", name)
}

fn field(file: &str, name: &str) -> Option<i64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
