//! The context below which a span starts.

use opentelemetry::Context;

/// The context below which a span starts. The span in it is the parent, unless the new span has a remote parent.
#[derive(Clone, Copy)]
pub(crate) enum BaseContext<'a> {
    /// The current context. It is read in place, because a clone changes a reference count that threads may share.
    #[cfg(feature = "layer")]
    Current,
    Context(&'a Context),
}

impl BaseContext<'_> {
    /// Returns the result of `read` for the context. `read` must not run code of the application, because it could attach a
    /// context.
    #[inline]
    pub(crate) fn read<T>(self, read: impl FnOnce(&Context) -> T) -> T {
        match self {
            #[cfg(feature = "layer")]
            Self::Current => Context::map_current(read),
            Self::Context(context) => read(context),
        }
    }

    /// Returns the context.
    pub(crate) fn context(self) -> Context {
        self.read(Context::clone)
    }
}
