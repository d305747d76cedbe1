//! The parent of a new span.

use opentelemetry::Context;

/// The context whose span is the parent of a new span.
pub(crate) enum Parent {
    /// The current context. It is read in place, because a clone changes a reference count that threads may share.
    Current,
    Context(Context),
}

impl Parent {
    /// Returns the result of `read` for the context. `read` must not run code of the application, because it could attach a
    /// context.
    #[inline]
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Context) -> T) -> T {
        match self {
            Self::Current => Context::map_current(read),
            Self::Context(context) => read(context),
        }
    }

    /// Returns the context.
    pub(crate) fn context(&self) -> Context {
        self.read(Context::clone)
    }
}
