//! The opener: a thread that opens a device while the CPU is already at work. Nobody waits for it, until the process ends.

use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::Context;

/// How long the end of the process waits for a driver.
const PATIENCE: Duration = Duration::from_secs(30);

/// Openers that may still be inside a driver.
static RUNNING: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// A device that is being opened.
#[derive(Debug)]
pub(crate) struct Opener {
    answer: Receiver<Result<Arc<Context>, String>>,
}

impl Opener {
    /// Starts to open an adapter.
    pub(crate) fn start(adapter: Option<String>, software: bool) -> Result<Self, String> {
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(join_at_exit);
        AT_END_OF_THREAD.with(|_| ());
        let (sender, answer) = channel();
        let thread = std::thread::Builder::new()
            .name("peakmask-gpu-open".to_owned())
            .spawn(move || {
                let context = Context::open(adapter.as_deref(), software).map(Arc::new);
                // Nobody may want it any more: then it is closed here.
                let _ = sender.send(context);
            })
            .map_err(|error| format!("no thread could be started to open it: {error}"))?;
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|thread| !thread.is_finished());
        running.push(thread);
        Ok(Self { answer })
    }

    /// The device, or why there is none; nothing yet, while it is being opened.
    pub(crate) fn answer(&self) -> Option<Result<Arc<Context>, String>> {
        match self.answer.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err("the thread that opens it panicked".to_owned()))
            }
        }
    }
}

/// Joins openers where a thread ends that has started one.
struct JoinAtEnd;

impl Drop for JoinAtEnd {
    fn drop(&mut self) {
        join();
    }
}

thread_local! {
    /// What a thread leaves behind is dropped before any handler of the process's end is called. Drivers' own handlers
    /// come later than ours, and so are called before it.
    static AT_END_OF_THREAD: JoinAtEnd = const { JoinAtEnd };
}

/// Drivers crash when the process ends while a device is being opened: waits for all openers.
fn join() {
    let start = Instant::now();
    loop {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let ended: Vec<_> = running
            .extract_if(.., |thread| thread.is_finished())
            .collect();
        let none_left = running.is_empty();
        drop(running);
        for thread in ended {
            let _ = thread.join();
        }
        // A driver that hangs must not keep the process for ever.
        if none_left || start.elapsed() > PATIENCE {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// For a process that is ended by a thread that has started no opener, while others run.
#[expect(unsafe_code, reason = "a handler for the end of the process")]
fn join_at_exit() {
    extern "C" fn handler() {
        join();
    }
    // SAFETY: the handler only reads a static that is never dropped, and cannot unwind. Where it is refused, the process
    // ends without waiting, as it would have.
    unsafe { libc::atexit(handler) };
}
