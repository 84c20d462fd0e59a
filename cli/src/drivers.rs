//! Drivers of GPUs, tried out in a process of their own before they are loaded into this one: there they may crash it, or
//! hang.

use std::io;
use std::process::Command;
use std::sync::mpsc::channel;

use peakmask::{Backend, CancelToken, Options, Trial};

use crate::args::{GpuArgs, ProbeArgs};

/// Has drivers tried out before the library loads them, for an analysis by `backend` or, without one, for a list.
pub(crate) fn try_first(args: &GpuArgs, backend: Option<Backend>, cancel: &CancelToken) {
    let mut words = vec!["try-drivers".to_owned()];
    if let Some(backend) = backend {
        words.extend(["--backend".to_owned(), backend.to_string()]);
    }
    if let Some(name) = &args.adapter {
        words.extend(["--adapter".to_owned(), name.clone()]);
    }
    let cancel = cancel.clone();
    peakmask::check_drivers(move || match std::env::current_exe() {
        Ok(program) => {
            let mut again = Command::new(program);
            again.args(&words);
            Trial::of(again, || cancel.is_cancelled())
        }
        // Where no other process can be started, this one has to do.
        Err(_) => Trial::Passed,
    });
}

/// The other process: does with drivers what the first one is about to do.
pub(crate) fn try_out(args: &ProbeArgs) {
    end_with_the_first_process();
    peakmask::try_drivers(&args.gpu.choose(Options::new()), args.backend);
}

/// Has this process end when the first one does.
fn end_with_the_first_process() {
    let (sender, begun) = channel();
    std::thread::spawn(move || {
        let mut stdin = io::stdin().lock();
        let _ = sender.send(());
        let _ = io::copy(&mut stdin, &mut io::sink());
        crate::signals::end_at_once(1);
    });
    // A thread that starts needs a lock of the loader's, which a driver that is being loaded holds.
    let _ = begun.recv();
}
