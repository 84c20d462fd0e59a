//! The opener: a thread that opens a device and makes it ready while the CPU is already at work. Nobody waits for it,
//! until the process ends.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Context, Variant};
use crate::Element;
use crate::engine::Finisher;

/// How long the end of the process waits for a driver.
const PATIENCE: Duration = Duration::from_secs(30);

/// Openers that may still be inside a driver, and the process that has them: a forked child inherits the list, and none of
/// its threads.
static RUNNING: Mutex<Vec<(u32, JoinHandle<()>)>> = Mutex::new(Vec::new());

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
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(join_at_exit);
        AT_THREAD_END.with(|_| ());
        let (sender, answer) = channel();
        let thread = std::thread::Builder::new()
            .name("peakmask-gpu-open".to_owned())
            .spawn(move || {
                let answer = open().and_then(|context| {
                    let seconds = context.prepare(variant, finisher)?;
                    Ok((context, seconds))
                });
                // Nobody may want it any more: then it is closed here.
                let _ = sender.send(answer);
            })
            .map_err(|error| format!("no thread could be started to open it: {error}"))?;
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|(_, thread)| !thread.is_finished());
        running.push((std::process::id(), thread));
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

/// Waits for drivers at the end of the thread that had one opened.
///
/// A process ends with the destructors of its main thread, then runs what was registered for its exit, the latest first.
/// What drivers register comes later than anything that could be registered here, and a driver that is at work without
/// what it has just taken down hangs or crashes: waiting has to come before all of that.
struct AtThreadEnd;

thread_local! {
    static AT_THREAD_END: AtThreadEnd = const { AtThreadEnd };
}

impl Drop for AtThreadEnd {
    fn drop(&mut self) {
        join();
    }
}

/// The second-best time to wait: for a process that ends by another thread's doing.
#[expect(unsafe_code, reason = "a handler for the end of the process")]
fn join_at_exit() {
    extern "C" fn at_exit() {
        join();
    }
    // SAFETY: the handler only reads a static that is never dropped, and cannot unwind. Where it is refused, the process
    // ends without waiting, as it would have.
    unsafe { libc::atexit(at_exit) };
}

/// Drivers crash when the process ends while a device is being opened.
fn join() {
    let start = Instant::now();
    // A driver that hangs must not keep the process for ever.
    while is_any_running() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn is_any_running() -> bool {
    // Held by nobody who is alive, if not to be had: a fork may have come while another thread held it.
    let Ok(mut running) = RUNNING.try_lock() else {
        return false;
    };
    if running
        .iter()
        .any(|&(process, _)| process != std::process::id())
    {
        // Handles of threads that do not exist here are not to be touched, not even to be dropped.
        std::mem::forget(std::mem::take(&mut *running));
        return false;
    }
    for (_, thread) in running.extract_if(.., |(_, thread)| thread.is_finished()) {
        let _ = thread.join();
    }
    !running.is_empty()
}
