//! Detects that the buffer of log lines is destroyed, because the thread exits.
//!
//! `tracing-subscriber` formats the lines of a thread in a thread-local variable. If it is destroyed, a log line panics in a
//! destructor, which aborts the process. The sentinel is first used after the buffer, so it is destroyed before the buffer.

use std::cell::Cell;

thread_local! {
    /// Has no destructor, so it can be read at any time.
    static IS_USED: Cell<bool> = const { Cell::new(false) };
    static SENTINEL: Sentinel = const { Sentinel };
}

/// Its destructor marks the end of the variable: a variable without a destructor can be used forever.
struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {}
}

/// Calls a function that writes a log line, unless the buffer may be destroyed.
pub(crate) fn write(write_line: impl FnOnce()) {
    if IS_USED.get() {
        if SENTINEL.try_with(|_| ()).is_ok() {
            write_line();
        }
        return;
    }
    write_line();
    IS_USED.set(true);
    let _ = SENTINEL.try_with(|_| ());
}
