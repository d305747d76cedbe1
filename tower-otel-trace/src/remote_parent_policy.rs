//! The policy for the trace of a caller.

use std::{fmt, sync::Arc};

use tower_otel_core::{RequestHead, RequestInfo};
use tower_otel_propagate::RemoteParent;

/// Decides for each request how the remote parent is used.
#[derive(Clone, Default)]
pub(crate) struct RemoteParentPolicy(Option<PolicyFn>);

type PolicyFn = Arc<dyn Fn(&dyn RequestHead) -> RemoteParent + Send + Sync>;

impl RemoteParentPolicy {
    pub(crate) fn new(
        rule: impl Fn(&dyn RequestHead) -> RemoteParent + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(rule)))
    }

    /// Returns whether every remote parent is continued.
    pub(crate) const fn is_default(&self) -> bool {
        self.0.is_none()
    }

    #[inline]
    pub(crate) fn decide(&self, request: &RequestInfo<'_>) -> RemoteParent {
        match &self.0 {
            None => RemoteParent::default(),
            Some(rule) => request.call_function(RemoteParent::Ignore, || rule(request.head())),
        }
    }
}

impl fmt::Debug for RemoteParentPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            None => "Continue",
            Some(_) => "Function",
        })
    }
}
