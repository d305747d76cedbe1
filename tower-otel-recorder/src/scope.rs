//! The instrumentation scopes of tracers and records.

use std::sync::Arc;

use opentelemetry::InstrumentationScope;

/// The scope of a tracer. `None` is the [scope of this crate](default_scope).
pub(crate) type TracerScope = Option<Arc<InstrumentationScope>>;

/// The scope of a record.
///
/// A reused record keeps its reference. So threads that start spans of one scope do not contend for its reference count,
/// even if spans with the scope of this crate are started in between.
#[derive(Debug)]
pub(crate) struct RecordScope {
    is_default: bool,
    /// The last scope that is not the default.
    last: TracerScope,
}

/// Returns the scope with name and version of this crate.
pub(crate) fn default_scope() -> InstrumentationScope {
    InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .build()
}

impl RecordScope {
    pub(crate) const fn new() -> Self {
        Self {
            is_default: true,
            last: None,
        }
    }

    #[inline]
    pub(crate) fn set(&mut self, scope: &TracerScope) {
        self.is_default = scope.is_none();
        let Some(scope) = scope else { return };
        let is_last = |last: &Arc<_>| Arc::ptr_eq(last, scope);
        if !self.last.as_ref().is_some_and(is_last) {
            self.last = Some(Arc::clone(scope));
        }
    }

    /// Returns the scope.
    pub(crate) fn get<'a>(&'a self, default: &'a InstrumentationScope) -> &'a InstrumentationScope {
        match &self.last {
            Some(last) if !self.is_default => last,
            _ => default,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn scope(name: &'static str) -> TracerScope {
        Some(Arc::new(InstrumentationScope::builder(name).build()))
    }

    #[test]
    fn a_record_has_the_scope_that_was_set_last() {
        let default = default_scope();
        let mut record = RecordScope::new();
        assert_eq!(record.get(&default), &default);
        for name in ["a", "a", "b"] {
            record.set(&scope(name));
            assert_eq!(record.get(&default).name(), name);
            record.set(&None);
            assert_eq!(record.get(&default), &default);
        }
    }

    #[test]
    fn a_reused_record_keeps_its_reference_to_the_scope() {
        let scope = scope("a");
        let references = || Arc::strong_count(scope.as_ref().unwrap());
        let mut record = RecordScope::new();
        for _ in 0..3 {
            record.set(&scope);
            assert_eq!(references(), 2);
            record.set(&None);
            assert_eq!(references(), 2);
        }
        record.set(&self::scope("b"));
        assert_eq!(references(), 1);
    }
}
