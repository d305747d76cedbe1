//! The spans that a thread has entered, with their attached contexts.

use std::{
    cell::{Cell, RefCell},
    mem::ManuallyDrop,
};

use opentelemetry::{Context, ContextGuard};

use crate::current_context;

thread_local! {
    /// `None` if the current context was already destroyed.
    ///
    /// Thread-locals are destroyed in the reverse order of their creation. The current context must outlive the guards.
    static ENTERED: Option<RefCell<Stack>> =
        current_context::is_usable().then(RefCell::default);

    /// The innermost prepared span that this thread has entered: its layer, and its id. The layer is zero until it has received
    /// the entry.
    static PREPARED: Cell<(usize, u64)> = const { Cell::new((0, 0)) };
}

/// Replaces the innermost prepared span.
#[inline]
pub(super) fn replace_prepared(prepared: (usize, u64)) -> (usize, u64) {
    PREPARED.replace(prepared)
}

/// Returns whether a span is being entered by its owner, which has attached its context. It is true once for each entry.
#[inline(always)]
pub(super) fn receives_prepared(layer: usize, span: u64) -> bool {
    let receives = PREPARED.get() == (0, span);
    if receives {
        PREPARED.set((layer, span));
    }
    receives
}

/// The spans from the outermost to the innermost. Their contexts are detached when the thread ends.
#[derive(Default)]
struct Stack(Vec<Entered>);

impl Drop for Stack {
    fn drop(&mut self) {
        while let Some(entered) = self.0.pop() {
            drop(Exited::from(entered));
        }
    }
}

/// A span that was entered and not exited.
struct Entered {
    layer: usize,
    span: u64,
    records_exit: bool,
    /// It has no destructor here, so that the compiler writes the fields directly to the stack.
    guard: ManuallyDrop<Option<ContextGuard>>,
}

/// What is needed of a span when it is exited. Dropping it detaches the context.
pub(super) struct Exited {
    pub(super) records_exit: bool,
    /// `None` if contexts are not activated.
    #[allow(dead_code, reason = "its drop detaches the context")]
    guard: Option<ContextGuard>,
}

impl From<Entered> for Exited {
    #[inline(always)]
    fn from(entered: Entered) -> Self {
        Self {
            records_exit: entered.records_exit,
            guard: ManuallyDrop::into_inner(entered.guard),
        }
    }
}

/// Returns whether a context can be used. It cannot while the thread destroys its thread-locals.
#[inline]
pub(super) fn is_available() -> bool {
    ENTERED.try_with(Option::is_some).unwrap_or(false)
}

/// Enters a span and attaches its context.
#[inline(always)]
pub(super) fn push(layer: usize, span: u64, records_exit: bool, context: Option<Context>) {
    if !is_available() {
        return;
    }
    let guard = ManuallyDrop::new(context.map(Context::attach));
    let _ = ENTERED.try_with(|stack| {
        let Some(stack) = stack else { return };
        stack.borrow_mut().0.push(Entered {
            layer,
            span,
            records_exit,
            guard,
        });
    });
}

/// Returns whether this thread has entered a span.
#[cold]
pub(super) fn contains(layer: usize, span: u64) -> bool {
    if PREPARED.get() == (layer, span) {
        return true;
    }
    let is_span = |entered: &Entered| entered.span == span && entered.layer == layer;
    ENTERED
        .try_with(|stack| {
            let stack = stack.as_ref().map(RefCell::borrow);
            stack.is_some_and(|stack| stack.0.iter().any(is_span))
        })
        .unwrap_or_default()
}

/// Exits a span. Spans may be exited in any order. Dropping the result detaches the context.
#[inline]
pub(super) fn pop(layer: usize, span: u64) -> Option<Exited> {
    let popped = ENTERED.try_with(|stack| {
        let stack = &mut stack.as_ref()?.borrow_mut().0;
        let is_span = |entered: &Entered| entered.span == span && entered.layer == layer;
        if is_span(stack.last()?) {
            return stack.pop().map(Exited::from);
        }
        remove(stack, is_span)
    });
    popped.ok().flatten()
}

#[cold]
fn remove(stack: &mut Vec<Entered>, is_span: impl Fn(&Entered) -> bool) -> Option<Exited> {
    let index = stack.iter().rposition(is_span)?;
    Some(stack.remove(index).into())
}
