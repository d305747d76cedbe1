//! The spans that a thread has entered, with their attached contexts.

use std::cell::RefCell;

use opentelemetry::{Context, ContextGuard};

use super::span_state::ExitClock;

thread_local! {
    static ENTERED: RefCell<Vec<Entered>> = {
        // Thread-locals are destroyed in the reverse order of their creation. The context stack must outlive the guards.
        Context::map_current(|_| ());
        RefCell::new(Vec::new())
    };
}

struct Entered {
    recorder: usize,
    span: u64,
    exit_clock: Option<ExitClock>,
    /// `None` if contexts are not activated.
    guard: Option<ContextGuard>,
}

/// Returns whether a context can be used: not while the thread destroys its thread-locals.
pub(super) fn is_available() -> bool {
    ENTERED.try_with(|_| ()).is_ok()
}

/// Enters a span and attaches its context.
pub(super) fn push(
    recorder: usize,
    span: u64,
    exit_clock: Option<ExitClock>,
    context: Option<Context>,
) {
    if !is_available() {
        return;
    }
    let guard = context.map(Context::attach);
    let entered = Entered {
        recorder,
        span,
        exit_clock,
        guard,
    };
    let _ = ENTERED.try_with(|stack| stack.borrow_mut().push(entered));
}

/// Exits a span and detaches its context. Spans may be exited in any order.
pub(super) fn pop(recorder: usize, span: u64) {
    let popped = ENTERED.try_with(|stack| {
        let mut stack = stack.borrow_mut();
        let is_span = |entered: &Entered| entered.span == span && entered.recorder == recorder;
        let index = stack.iter().rposition(is_span)?;
        Some(stack.remove(index))
    });
    // The guard is dropped when the stack is not borrowed any more: values in the context may run code of the application.
    if let Ok(Some(entered)) = popped {
        if let Some(clock) = &entered.exit_clock {
            clock.exit();
        }
        drop(entered.guard);
    }
}
