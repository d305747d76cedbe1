//! Detects that the thread exits. No context can be attached then.
//!
//! An exchange in a thread-local variable ends when its thread exits. The current context is also a
//! thread-local variable. If it has been destroyed, attaching a context panics in a destructor,
//! which aborts the process. Variables are destroyed in the reverse order of their first use. The
//! sentinel is first used after a context was attached, so it is destroyed before the current context.
//!
//! The standard library does not guarantee this order; the test `tests/thread_exit.rs` of the suite checks it. The first
//! use on a thread depends on unwinding: with `panic = "abort"`, an exchange that is moved to a thread whose contexts are
//! already destroyed aborts the process.

use std::{cell::Cell, panic::catch_unwind};

use opentelemetry::Context;

#[derive(Clone, Copy)]
enum ThreadState {
    /// No span was entered on this thread.
    Unknown,
    Running,
    Exiting,
}

thread_local! {
    /// Has no destructor, so it can be read at any time.
    static STATE: Cell<ThreadState> = const { Cell::new(ThreadState::Unknown) };
    static SENTINEL: Sentinel = const { Sentinel };
}

struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {
        STATE.set(ThreadState::Exiting);
    }
}

/// Calls a function that enters a span or attaches a context, unless the thread exits.
#[inline]
pub(crate) fn unless_exiting<T>(enter: impl FnOnce() -> T) -> Option<T> {
    match STATE.get() {
        ThreadState::Running => Some(enter()),
        ThreadState::Unknown => enter_first(enter),
        ThreadState::Exiting => None,
    }
}

#[cold]
fn enter_first<T>(enter: impl FnOnce() -> T) -> Option<T> {
    // An exchange may have been moved to a thread that has used contexts and now exits.
    if catch_unwind(|| drop(Context::new().attach())).is_err() {
        STATE.set(ThreadState::Exiting);
        return None;
    }
    let entered = enter();
    let is_running = SENTINEL.try_with(|_| ()).is_ok();
    STATE.set(match is_running {
        true => ThreadState::Running,
        false => ThreadState::Exiting,
    });
    Some(entered)
}
