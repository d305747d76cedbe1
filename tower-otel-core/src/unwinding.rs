//! Ends while a panic unwinds.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

/// Calls a function that may run in a destructor. If the thread already unwinds, a panic of the function is swallowed: it
/// would abort the process. How the exchange ends does not depend on it.
#[inline]
pub(crate) fn without_second_panic(function: impl FnOnce()) {
    if thread::panicking() {
        swallow_panic(function);
    } else {
        function();
    }
}

#[cold]
fn swallow_panic(function: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(function)) {
        // Its destructor may panic, too.
        mem::forget(panic);
    }
}
