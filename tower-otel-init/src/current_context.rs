//! Detects that the current context is destroyed, because the thread exits.
//!
//! The current context is a thread-local variable. If it is destroyed, reading it panics in a destructor, which aborts the
//! process. Variables are destroyed in the reverse order of their first use. The probe reads the context when it is first
//! used, so it is destroyed before the context.
//!
//! The standard library does not guarantee this order; the test `thread_exit` checks it. The first use on a thread depends on
//! unwinding: with `panic = "abort"`, a destructor that uses the probe first aborts the process.

use std::cell::Cell;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};

use crate::unwind;

thread_local! {
    /// Has no destructor, so it can be read at any time.
    static IS_PROBING: Cell<bool> = const { Cell::new(false) };
    static PROBE: Probe = Probe::new();
}

struct Probe {
    is_usable: bool,
}

impl Probe {
    /// A panic hook of the application may log, which needs the result.
    fn new() -> Self {
        IS_PROBING.set(true);
        let is_usable = unwind::catch(|| Context::map_current(|_| ())).is_some();
        IS_PROBING.set(false);
        Self { is_usable }
    }
}

/// The destructor marks the end of the variable: a variable without a destructor can be used forever.
impl Drop for Probe {
    fn drop(&mut self) {}
}

/// Returns whether the current context can be read.
pub(crate) fn is_usable() -> bool {
    !IS_PROBING.get() && PROBE.try_with(|probe| probe.is_usable).unwrap_or(false)
}

/// Calls a function with the current span, if it is valid.
pub(crate) fn with_span<T>(read: impl FnOnce(&SpanContext) -> T) -> Option<T> {
    if !is_usable() {
        return None;
    }
    Context::map_current(|current| {
        let span = current.span();
        let span = span.span_context();
        span.is_valid().then(|| read(span))
    })
}
