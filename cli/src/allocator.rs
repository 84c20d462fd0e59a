//! Memory that is refused: where nothing else can be done about it, the program ends with a sentence and its exit code.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

#[global_allocator]
static ALLOCATOR: Noting = Noting;

/// The system's allocator, which notes that it has refused something.
struct Noting;

thread_local! {
    static REFUSED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread has been refused memory; a signal handler may ask.
#[cfg(unix)]
pub(crate) fn has_refused() -> bool {
    REFUSED.get()
}

fn noted(block: *mut u8) -> *mut u8 {
    if block.is_null() {
        REFUSED.set(true);
    }
    block
}

#[expect(unsafe_code, reason = "an allocator")]
// SAFETY: every call is the system allocator's, and so are its promises.
unsafe impl GlobalAlloc for Noting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are handed on.
        noted(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        noted(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        noted(unsafe { System.realloc(block, layout, size) })
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}
