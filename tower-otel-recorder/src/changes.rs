//! Changes made to a span through its OpenTelemetry context.

use std::{
    fmt,
    sync::{Arc, PoisonError},
    time::SystemTime,
};

use crate::{
    allowance::{Allowance, LendBytes},
    extras::Extras,
    limits::Limits,
    sync::{
        Mutex, MutexGuard,
        atomic::{
            AtomicU8,
            Ordering::{AcqRel, Acquire, Release},
        },
    },
};

/// The number of bytes that the changes of a held span may use without borrowing.
const FREE_BYTES: usize = 256;

/// Bits of the state.
const CHANGED: u8 = 1;
const ENDED: u8 = 2;

/// The changes of a span. Shared by its owner and the [span in the context](crate::context_span::ContextSpan).
///
/// The owner takes the lock only if there are changes. The state is first, to share a cache line with the reference count.
#[repr(C)]
pub(crate) struct ContextChanges {
    state: AtomicU8,
    changes: Mutex<Changes>,
    limits: Limits,
}

#[derive(Default)]
struct Changes {
    extras: Option<Box<Extras>>,
    /// Restricts the bytes of the changes, from the first change of a span that is held.
    allowance: Option<Allowance>,
}

impl ContextChanges {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            state: AtomicU8::new(0),
            changes: Mutex::default(),
            limits,
        }
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Prepares the object for the next span. Replaces it if another owner may still change the last span.
    pub(crate) fn renew(this: &mut Arc<Self>) {
        let Some(unshared) = Arc::get_mut(this) else {
            *this = Arc::new(Self::new(this.limits));
            return;
        };
        unshared.state = AtomicU8::new(0);
        let changes = unshared.changes.get_mut();
        let changes = changes.unwrap_or_else(PoisonError::into_inner);
        changes.extras = None;
        changes.allowance = None;
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the span has ended, so that changes have no effect.
    pub(crate) fn has_ended(&self) -> bool {
        self.state.load(Acquire) & ENDED != 0
    }

    /// Applies a change, unless the span has ended.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Extras, &Limits)) {
        let mut changes = self.changes();
        if !self.has_ended() {
            let is_first = changes.extras.is_none();
            change(changes.extras.get_or_insert_default(), &self.limits);
            self.set_changed(&mut changes, is_first);
        }
    }

    /// Applies a change of a held span like [`change`](Self::change). It is undone if `lender` does not lend its bytes.
    pub(crate) fn change_held(
        &self,
        lender: &Arc<impl LendBytes + 'static>,
        change: impl FnOnce(&mut Extras, &Limits),
    ) {
        let mut changes = self.changes();
        if self.has_ended() {
            return;
        }
        let is_first = changes.extras.is_none();
        let Changes { extras, allowance } = &mut *changes;
        let extras = extras.get_or_insert_default();
        let new = || Allowance::new(Arc::clone(lender) as _, FREE_BYTES);
        let allowance = allowance.get_or_insert_with(new);
        let mark = extras.mark();
        change(extras, &self.limits);
        if !allowance.allows(extras.bytes()) {
            extras.undo(mark);
        }
        self.set_changed(&mut changes, is_first);
    }

    /// Notes a change that was applied. Frees it if the span has ended and its owner does not take the changes, because this
    /// is the first one.
    fn set_changed(&self, changes: &mut Changes, is_first: bool) {
        let before = self.state.fetch_or(CHANGED, Release);
        if is_first && before & ENDED != 0 {
            *changes = Changes::default();
        }
    }

    /// Ends the span before its owner ends it. The owner still exports it.
    pub(crate) fn end_early(&self, at: SystemTime) {
        let mut changes = self.changes();
        if !self.has_ended() {
            changes.extras.get_or_insert_default().ended = Some(at);
            self.state.fetch_or(CHANGED | ENDED, Release);
        }
    }

    /// Ends a span that is not held, and returns the changes. A concurrent change is either returned or has no effect.
    pub(crate) fn end(&self) -> Option<Box<Extras>> {
        let state = self.state.load(Acquire);
        // A store is sufficient: a change that it overwrites did not happen before the end. The change is freed with the next
        // span.
        self.state.store(ENDED, Release);
        self.take_changes(state)
    }

    /// Ends a held span like [`end`](Self::end). No bytes stay borrowed.
    pub(crate) fn end_held(&self) -> Option<Box<Extras>> {
        let state = self.state.swap(ENDED, AcqRel);
        self.take_changes(state)
    }

    /// Takes the changes of a span that has ended, from this state.
    #[inline]
    fn take_changes(&self, state: u8) -> Option<Box<Extras>> {
        if state & CHANGED == 0 {
            return None;
        }
        let mut changes = self.changes();
        changes.allowance = None;
        changes.extras.take()
    }
}

impl fmt::Debug for ContextChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextChanges")
            .field("ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}
