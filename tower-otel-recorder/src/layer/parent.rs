//! The parent of a new span.

use opentelemetry::Context;

use crate::base_context::BaseContext;

/// The context whose span is the parent of a new span.
pub(crate) enum Parent {
    Current,
    Context(Context),
}

impl Parent {
    #[inline]
    pub(crate) const fn base(&self) -> BaseContext<'_> {
        match self {
            Self::Current => BaseContext::Current,
            Self::Context(context) => BaseContext::Context(context),
        }
    }

    /// Returns the result of `read` for the context. `read` must not run code of the application, because it could attach a
    /// context.
    #[inline]
    pub(crate) fn read<T>(&self, read: impl FnOnce(&Context) -> T) -> T {
        self.base().read(read)
    }

    /// Returns the context.
    pub(crate) fn context(&self) -> Context {
        self.base().context()
    }
}
