//! The opener: a thread that opens a device and makes it ready while the CPU is already at work. Nobody waits for it
//! but the end of the process, and that not for long.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Context, Variant};
use crate::engine::Finisher;
use crate::{Element, driver};

/// How long the end of the process waits for a driver.
const PATIENCE: Duration = Duration::from_secs(5);

/// Openers that are inside a driver.
static INSIDE: Mutex<Inside> = Mutex::new(Inside {
    openers: 0,
    process: 0,
    ending: None,
    left_behind: false,
});

struct Inside {
    openers: usize,
    /// The process that has them: a forked child inherits their number, and none of their threads.
    process: u32,
    /// Since when nobody enters a driver any more.
    ending: Option<Instant>,
    /// A device has been left behind at work.
    left_behind: bool,
}

/// A device that is being opened and made ready.
#[derive(Debug)]
pub(crate) struct Opener {
    answer: Receiver<Answer>,
}

/// A device that is ready, and the seconds that this took beyond its opening; or why there is none.
type Answer = Result<(Arc<Context>, f64), String>;

impl Opener {
    /// Starts to `open` a device, and to compile and probe kernels of this variant.
    pub(crate) fn start<T: Element>(
        open: impl FnOnce() -> Result<Arc<Context>, String> + Send + 'static,
        variant: Variant,
        finisher: Finisher<T>,
    ) -> Result<Self, String> {
        let (sender, answer) = channel();
        std::thread::Builder::new()
            .name("peakmask-gpu-open".to_owned())
            .spawn(move || {
                // It may take long, and nobody has to wait for it.
                let answer = driver::verdict().and_then(|()| {
                    let _visit = Visit::begin().ok_or("the process is about to end")?;
                    let context = open()?;
                    let seconds = context.prepare(variant, finisher)?;
                    // Nobody may want it any more: then it is closed here.
                    let _ = sender.send(Ok((context, seconds)));
                    Ok(())
                });
                if let Err(reason) = answer {
                    let _ = sender.send(Err(reason));
                }
            })
            .map_err(|error| format!("no thread could be started to open it: {error}"))?;
        Ok(Self { answer })
    }

    /// The device, or why there is none; nothing yet, while it is being made ready.
    pub(crate) fn answer(&self) -> Option<Answer> {
        match self.answer.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err("the thread that opens it panicked".to_owned()))
            }
        }
    }
}

impl Drop for Opener {
    /// Whoever waits no longer may be about to end the process: as late a handler as can be.
    fn drop(&mut self) {
        wait_at_exit();
    }
}

/// A stay inside a driver, during which the process must not end: its end runs the driver's own handlers, and a driver that is
/// at work without what they have just taken down hangs or crashes.
struct Visit;

impl Visit {
    /// None when the process is about to end.
    fn begin() -> Option<Self> {
        let mut inside = INSIDE.lock().unwrap_or_else(PoisonError::into_inner);
        inside.forget_other_process();
        if inside.ending.is_some() {
            return None;
        }
        inside.openers += 1;
        drop(inside);
        wait_at_exit();
        // The latest handler runs first, and drivers register theirs when it suits them: this one is registered again
        // until they are done. Without the thread it is as early as it is.
        let _ = std::thread::Builder::new()
            .name("peakmask-gpu-exit".to_owned())
            .stack_size(64 << 10)
            .spawn(|| {
                while INSIDE
                    .lock()
                    .is_ok_and(|inside| inside.openers > 0 && inside.ending.is_none())
                {
                    wait_at_exit();
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
        Some(Self)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut inside = INSIDE.lock().unwrap_or_else(PoisonError::into_inner);
        inside.openers = inside.openers.saturating_sub(1);
    }
}

impl Inside {
    fn forget_other_process(&mut self) {
        let process = std::process::id();
        if self.process != process {
            *self = Self {
                openers: 0,
                process,
                ending: None,
                left_behind: false,
            };
        }
    }
}

/// Has the process end without its drivers' handlers: a device was given up while it was at work, is so still, perhaps, and
/// crashes without what they take down.
pub(super) fn leave_behind() {
    let mut inside = INSIDE.lock().unwrap_or_else(PoisonError::into_inner);
    inside.forget_other_process();
    inside.left_behind = true;
    drop(inside);
    wait_at_exit();
}

/// Waits until no opener is inside a driver, and has none enter one any more.
pub(crate) fn before_exit() {
    is_kept_waiting();
}

/// Waits until no opener is inside a driver; whether that took longer than it may, or has no end.
fn is_kept_waiting() -> bool {
    let mut start = Instant::now();
    loop {
        // A lock that cannot be had for so long belongs to a thread that a fork has left behind in the parent.
        let inside: Option<MutexGuard<'_, Inside>> = INSIDE.try_lock().ok();
        if let Some(mut inside) = inside {
            inside.forget_other_process();
            // Who waits a second time goes on where the first one stopped.
            start = *inside.ending.get_or_insert(start);
            if inside.left_behind {
                return true;
            }
            if inside.openers == 0 {
                return false;
            }
        }
        if start.elapsed() > PATIENCE {
            return true;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Has the end of the process wait for drivers, before all that was registered for it until now.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a handler for the end of the process")]
fn wait_at_exit() {
    use std::ffi::{c_int, c_void};

    unsafe extern "C" {
        fn on_exit(handler: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
    }
    extern "C" fn at_exit(status: c_int, _: *mut c_void) {
        if is_kept_waiting() {
            // SAFETY: what is buffered is written, and the process ends with the exit code that it was to have. The rest of
            // its end would wait for the driver for ever.
            unsafe {
                libc::fflush(std::ptr::null_mut());
                libc::_exit(status);
            }
        }
    }
    // SAFETY: the handler is a function of this program, and cannot unwind. Where it is refused, the process ends without
    // waiting, as it would have.
    unsafe { on_exit(at_exit, std::ptr::null_mut()) };
}

/// Has the end of the process wait for drivers, before all that was registered for it until now.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
#[expect(unsafe_code, reason = "a handler for the end of the process")]
fn wait_at_exit() {
    extern "C" fn at_exit() {
        is_kept_waiting();
    }
    // SAFETY: as above.
    unsafe { libc::atexit(at_exit) };
}
