//! Panics that are caught, and continue later or are swallowed.

use std::{
    any::Any,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    thread,
};

/// Calls a function that may run in a destructor. If the thread is already unwinding, a panic of the function is swallowed,
/// because a second panic would abort the process.
#[inline]
pub(crate) fn without_second_panic(function: impl FnOnce()) {
    if thread::panicking() {
        swallow_panic(function);
    } else {
        function();
    }
}

/// The payload of a panic.
pub(crate) type PanicPayload = Box<dyn Any + Send>;

/// Calls a function of the application. A panic is caught and returned, so that it can continue later.
#[inline]
pub(crate) fn catch_panic<T>(function: impl FnOnce() -> T) -> Result<T, PanicPayload> {
    catch_unwind(AssertUnwindSafe(function))
}

/// Calls a function and ignores its panic.
#[cold]
pub(crate) fn swallow_panic(function: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(function)) {
        // The destructor of the payload may panic, too.
        mem::forget(panic);
    }
}
