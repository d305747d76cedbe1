//! Panics that do not unwind where they happen.

use std::{
    any::Any,
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

/// What a function panicked with.
pub(crate) type PanicPayload = Box<dyn Any + Send>;

/// Calls code of an application that may panic. A panic does not unwind: it continues later.
#[inline]
pub(crate) fn catch_panic<T>(function: impl FnOnce() -> T) -> Result<T, PanicPayload> {
    catch_unwind(AssertUnwindSafe(function))
}

/// Calls a function, and ignores its panic.
#[cold]
pub(crate) fn swallow_panic(function: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(function)) {
        // Its destructor may panic, too.
        mem::forget(panic);
    }
}
