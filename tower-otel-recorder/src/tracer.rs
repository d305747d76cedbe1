//! A handle that starts spans.

use std::sync::Arc;

use crate::shared::Shared;

/// Starts the spans of one instrumentation scope. A clone costs one reference count.
#[derive(Clone, Debug)]
pub struct RecorderTracer {
    shared: Arc<Shared>,
    /// The index of the instrumentation scope.
    scope: usize,
}

impl RecorderTracer {
    pub(crate) const fn new(shared: Arc<Shared>, scope: usize) -> Self {
        Self { shared, scope }
    }

    pub(crate) const fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) const fn scope(&self) -> usize {
        self.scope
    }
}
