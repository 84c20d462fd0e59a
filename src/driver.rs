//! What comes before drivers: they run in this process, and may hang or crash it.

use std::sync::OnceLock;

type Check = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

static CHECK: OnceLock<Check> = OnceLock::new();

/// Has `check` asked before the first driver of a GPU is loaded into this process, and no driver loaded if it errs.
///
/// A driver that crashes takes the process with it, and one that hangs keeps it. A program can have another process look
/// first, and say here what became of it. The error is the reason why there is no GPU, as in "its driver crashed". `check`
/// is called at most once, on the thread that would load the driver; with [`Backend::Auto`](crate::Backend::Auto) that is one
/// that no result waits for.
///
/// Whether this is the first check of the process: only that one counts.
///
/// ```
/// use peakmask::{Options, adapters, check_drivers};
///
/// assert!(check_drivers(|| Err("this machine's driver is known to hang".to_owned())));
/// let adapters = adapters(&Options::new())?;
/// assert!(adapters.found.is_empty());
/// # if cfg!(feature = "gpu") {
/// assert_eq!(adapters.why, "this machine's driver is known to hang");
/// # }
/// # Ok::<(), peakmask::Error>(())
/// ```
pub fn check_drivers(check: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> bool {
    CHECK.set(Box::new(check)).is_ok()
}

/// Whether drivers may be loaded, or why not. The first call may take long.
#[cfg(feature = "gpu")]
pub(crate) fn verdict() -> Result<(), String> {
    static VERDICT: OnceLock<Result<(), String>> = OnceLock::new();
    let check = || CHECK.get().map_or(Ok(()), |check| check());
    VERDICT.get_or_init(check).clone()
}
