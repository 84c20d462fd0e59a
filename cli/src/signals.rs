//! How the program ends when it is told to, or killed: soon, and without unfinished files.
//!
//! Handlers may run between any two instructions, so they only read and write atomics, and make system calls.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use peakmask::CancelToken;

/// What a request to stop would interrupt.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
enum Stage {
    /// Nothing has been written: the work is cancelled, and a second request ends the program at once.
    Working,
    /// Somebody has asked to stop.
    Cancelled,
    /// Files are getting their names, which takes no time: too late to stop.
    Committing,
    /// Everything is written; what may still be waited for is not worth it.
    Done,
}

static STAGE: AtomicU8 = AtomicU8::new(Stage::Working as u8);
static CANCEL: OnceLock<CancelToken> = OnceLock::new();

/// From now on a request to stop cancels; what would otherwise kill the program leaves nothing behind.
pub(crate) fn listen(cancel: &CancelToken) -> Result<(), String> {
    CANCEL.get_or_init(|| cancel.clone());
    platform::listen()
}

/// Whether files may get their names now: from here on it is too late to stop.
pub(crate) fn commit() -> bool {
    STAGE
        .compare_exchange(
            Stage::Working as u8,
            Stage::Committing as u8,
            Ordering::SeqCst,
            Ordering::SeqCst,
        )
        .is_ok()
}

/// All files have their names; those of this input, if others follow.
pub(crate) fn done() {
    let stage = match MORE.load(Ordering::SeqCst) {
        true => Stage::Working,
        false => Stage::Done,
    };
    STAGE.store(stage as u8, Ordering::SeqCst);
}

/// Says whether other inputs follow.
pub(crate) fn expect_more(more: bool) {
    MORE.store(more, Ordering::SeqCst);
}

/// Whether other inputs follow the one that is worked on.
static MORE: AtomicBool = AtomicBool::new(false);

/// A file that is removed if the program ends before this is dropped.
#[derive(Debug)]
pub(crate) struct Unfinished(#[cfg_attr(not(unix), expect(dead_code))] Option<usize>);

impl Unfinished {
    pub(crate) fn new(path: &Path) -> Self {
        Self(platform::remember(path))
    }
}

/// A request to stop has come; what the exit code is if the program ends at once.
fn asked() -> Option<i32> {
    let cancelled = STAGE.compare_exchange(
        Stage::Working as u8,
        Stage::Cancelled as u8,
        Ordering::SeqCst,
        Ordering::SeqCst,
    );
    match cancelled {
        Ok(_) => {
            if let Some(cancel) = CANCEL.get() {
                cancel.cancel();
            }
            None
        }
        Err(stage) if stage == Stage::Committing as u8 => {
            // Too late for this input, not for those that follow.
            if let Some(cancel) = CANCEL.get().filter(|_| MORE.load(Ordering::SeqCst)) {
                cancel.cancel();
            }
            None
        }
        Err(stage) if stage == Stage::Done as u8 => Some(0),
        Err(_) => Some(130),
    }
}

pub(crate) use platform::end_at_once;
#[cfg(unix)]
pub(crate) use platform::watch_mapping;

#[cfg(unix)]
mod platform {
    use std::ffi::CString;
    use std::ops::Range;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::Path;
    use std::ptr;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

    use libc::{c_char, c_int, c_void, siginfo_t};

    use super::{Stage, Unfinished};
    use crate::allocator;
    use crate::failure::Failure;
    use crate::terminal;

    /// Requests to stop.
    const REQUESTS: [c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

    /// What kills: unfinished files are removed first.
    const DEADLY: [c_int; 11] = [
        libc::SIGQUIT,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGABRT,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGSEGV,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGXCPU,
        libc::SIGVTALRM,
    ];

    /// How long cancelled work may take to end by itself, in microseconds: it may be inside a driver, or waiting for a disk.
    const GRACE: libc::suseconds_t = 700_000;

    /// What was to happen on a deadly signal before this program wanted to know.
    static BEFORE: [OnceLock<libc::sigaction>; DEADLY.len()] =
        [const { OnceLock::new() }; DEADLY.len()];

    /// Paths of unfinished files. They are never freed, since a handler may be reading them.
    static UNFINISHED: [AtomicPtr<c_char>; 16] = [const { AtomicPtr::new(ptr::null_mut()) }; 16];

    /// Mapped inputs, and what to say when one of them is not there any more.
    static MAPPINGS: [OnceLock<Mapping>; 64] = [const { OnceLock::new() }; 64];

    #[derive(Debug)]
    struct Mapping {
        addresses: Range<usize>,
        sentence: String,
    }

    pub(super) fn listen() -> Result<(), String> {
        for signal in REQUESTS {
            handle(signal, request)?;
        }
        handle(libc::SIGALRM, overdue)?;
        // A file that gets too large is an error of the write then.
        handle(libc::SIGXFSZ, nothing)?;
        for (signal, before) in DEADLY.into_iter().zip(&BEFORE) {
            if let Some(action) = handle(signal, deadly)? {
                before.get_or_init(|| action);
            }
        }
        Ok(())
    }

    type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

    /// Has a signal handled, unless whoever started the program wants it ignored (as `nohup` does): what was to happen before.
    #[expect(unsafe_code, reason = "signal handlers")]
    fn handle(signal: c_int, handler: Handler) -> Result<Option<libc::sigaction>, String> {
        let failed = || {
            format!(
                "signal {signal} cannot be handled: {}",
                std::io::Error::last_os_error()
            )
        };
        // SAFETY: a structure of integers, for which zeros are valid; the kernel fills it.
        let mut before: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: asks only.
        if unsafe { libc::sigaction(signal, ptr::null(), &raw mut before) } != 0 {
            return Err(failed());
        }
        if before.sa_sigaction == libc::SIG_IGN {
            return Ok(None);
        }
        // SAFETY: as above.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
        // SAFETY: writes to the structure. One handler at a time: the stack for them is small.
        unsafe { libc::sigfillset(&raw mut action.sa_mask) };
        // SAFETY: the handler has the signature that `SA_SIGINFO` asks for, and does only what a handler may.
        if unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } != 0 {
            return Err(failed());
        }
        Ok(Some(before))
    }

    extern "C" fn nothing(_: c_int, _: *mut siginfo_t, _: *mut c_void) {}

    #[expect(unsafe_code, reason = "a timer that a signal handler can start")]
    extern "C" fn request(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
        match super::asked() {
            Some(code) => leave(code, ""),
            None => {
                let grace = libc::itimerval {
                    it_interval: libc::timeval {
                        tv_sec: 0,
                        tv_usec: 0,
                    },
                    it_value: libc::timeval {
                        tv_sec: 0,
                        tv_usec: GRACE,
                    },
                };
                // SAFETY: a system call that reads the structure.
                unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const grace, ptr::null_mut()) };
            }
        }
    }

    /// The work has not ended in time after a request to stop.
    extern "C" fn overdue(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
        let stage = super::STAGE.load(Ordering::SeqCst);
        if stage == Stage::Cancelled as u8 {
            leave(130, "error: interrupted; nothing was written\n");
        }
    }

    #[expect(unsafe_code, reason = "what a signal handler is told")]
    extern "C" fn deadly(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
        // SAFETY: the kernel hands over a valid structure.
        let by_kernel = unsafe { (*info).si_code } > 0;
        if signal == libc::SIGBUS && by_kernel {
            // SAFETY: as above, and for this signal, from the kernel, it holds an address.
            let address = unsafe { (*info).si_addr() }.addr();
            let mapping = MAPPINGS
                .iter()
                .filter_map(OnceLock::get)
                // Of several files that were mapped there one after the other, the last.
                .rfind(|mapping| mapping.addresses.contains(&address));
            if let Some(mapping) = mapping {
                leave(2, &mapping.sentence);
            }
        }
        if signal == libc::SIGABRT && allocator::has_refused() {
            leave(
                3,
                "error: the operating system refused memory; analyse fewer time bins at once, or allow the process more\n",
            );
        }
        remove_unfinished();
        let faults = [
            libc::SIGILL,
            libc::SIGTRAP,
            libc::SIGBUS,
            libc::SIGFPE,
            libc::SIGSEGV,
        ];
        let position = DEADLY.iter().position(|&deadly| deadly == signal);
        let before = position.and_then(|position| BEFORE[position].get());
        // SAFETY: system calls. What was to happen before is put back, and happens when this handler returns: the faulty
        // instruction is run again, or the signal, blocked until then, comes again.
        unsafe {
            match before {
                Some(before) if by_kernel && faults.contains(&signal) => {
                    libc::sigaction(signal, before, ptr::null_mut());
                }
                _ => {
                    libc::signal(signal, libc::SIG_DFL);
                    libc::raise(signal);
                }
            }
        }
    }

    /// Ends the program from within a handler.
    #[expect(unsafe_code, reason = "the end of the process")]
    fn leave(code: c_int, sentence: &str) -> ! {
        // Two workers may meet the same hole in a file: whoever comes first has its say. A signal may interrupt itself.
        static LEAVING: AtomicUsize = AtomicUsize::new(0);
        // SAFETY: system calls; nothing of this process is used afterwards.
        unsafe {
            let own = libc::pthread_self() as usize;
            let first = LEAVING.compare_exchange(0, own, Ordering::SeqCst, Ordering::SeqCst);
            while first.is_err_and(|thread| thread != own) {
                libc::pause();
            }
            remove_unfinished();
            libc::write(
                libc::STDERR_FILENO,
                sentence.as_ptr().cast(),
                sentence.len(),
            );
            libc::_exit(code)
        }
    }

    /// Ends the program without what belongs to an orderly end: a driver may be at work that this would wait for.
    pub(crate) fn end_at_once(code: c_int) -> ! {
        leave(code, "")
    }

    #[expect(unsafe_code, reason = "a system call that a signal handler can make")]
    fn remove_unfinished() {
        for path in &UNFINISHED {
            let path = path.swap(ptr::null_mut(), Ordering::SeqCst);
            if !path.is_null() {
                // SAFETY: a string that ends with a zero, and is never freed.
                unsafe { libc::unlink(path) };
            }
        }
    }

    pub(super) fn remember(path: &Path) -> Option<usize> {
        let path = CString::new(path.as_os_str().as_bytes()).ok()?.into_raw();
        UNFINISHED.iter().position(|place| {
            place
                .compare_exchange(ptr::null_mut(), path, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        })
    }

    impl Drop for Unfinished {
        fn drop(&mut self) {
            if let Some(place) = self.0 {
                UNFINISHED[place].store(ptr::null_mut(), Ordering::SeqCst);
            }
        }
    }

    /// Says what to say if the bytes of this mapped file are not there any more when they are read.
    pub(crate) fn watch_mapping(bytes: &[u8], failure: &Failure) {
        let start = bytes.as_ptr().addr();
        let mut mapping = Mapping {
            addresses: start..start + bytes.len(),
            sentence: format!("{}\n", terminal::clean(format_args!("error: {failure}"))),
        };
        for place in &MAPPINGS {
            match place.set(mapping) {
                Ok(()) => return,
                Err(back) => mapping = back,
            }
        }
    }
}

#[cfg(not(unix))]
mod platform {
    use std::path::Path;

    pub(super) fn listen() -> Result<(), String> {
        ctrlc::set_handler(|| {
            if let Some(code) = super::asked() {
                std::process::exit(code);
            }
        })
        .map_err(|error| format!("Ctrl-C cannot be handled: {error}"))
    }

    /// Ends the program.
    pub(crate) fn end_at_once(code: i32) -> ! {
        std::process::exit(code)
    }

    /// What ends the program here cannot be caught.
    pub(super) fn remember(_: &Path) -> Option<usize> {
        None
    }
}
