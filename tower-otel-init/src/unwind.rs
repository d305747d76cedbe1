//! Panics on the threads of telemetry, such as that of a subscriber of the application.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls a function. Returns `None` if it panics.
pub(crate) fn catch<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call))
        // The destructor of the payload may panic, too.
        .map_err(mem::forget)
        .ok()
}
