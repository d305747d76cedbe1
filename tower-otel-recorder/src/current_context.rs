//! Detects that the current context is destroyed, because the thread exits.
//!
//! The current context is a thread-local variable. If it is destroyed, reading it panics in a destructor, which aborts the
//! process. Variables are destroyed in the reverse order of their first use. The probe reads the context when it is first
//! used, so it is destroyed before the context.
//!
//! The standard library does not guarantee this order; the test `thread_exit` of tower-otel-init checks it. The first use on
//! a thread depends on unwinding: with `panic = "abort"`, a destructor that uses the probe first aborts the process.

use std::panic::catch_unwind;

use opentelemetry::Context;

thread_local! {
    static PROBE: Probe = Probe {
        is_usable: catch_unwind(|| Context::map_current(|_| ())).is_ok(),
    };
}

struct Probe {
    is_usable: bool,
}

/// The destructor marks the end of the variable: a variable without a destructor can be used forever.
impl Drop for Probe {
    fn drop(&mut self) {}
}

/// Returns whether the current context can be read and replaced.
pub(crate) fn is_usable() -> bool {
    PROBE.try_with(|probe| probe.is_usable).unwrap_or(false)
}
