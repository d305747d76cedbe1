//! A span in the ring: its OTLP message, which is decoded when a browser requests it.

use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// A stored span. Clones share the message.
#[derive(Clone, Debug)]
pub(crate) struct StoredSpan {
    message: Arc<[u8]>,
    source: Arc<SpanSource>,
}

/// The service and the scope of spans.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SpanSource {
    pub(crate) service: Arc<str>,
    pub(crate) scope: String,
}

/// The maximum length of the name of a service or a scope, in bytes.
const MAX_NAME: usize = 256;

impl SpanSource {
    /// Returns a source. The name of the scope is cut.
    pub(crate) fn new(service: Arc<str>, scope: &str) -> Arc<Self> {
        let scope = cut(scope).to_owned();
        Arc::new(Self { service, scope })
    }

    /// Returns a source with another scope, or this one if it has that scope.
    pub(crate) fn with_scope(self: Arc<Self>, scope: &str) -> Arc<Self> {
        match self.scope == cut(scope) {
            true => self,
            false => Self::new(Arc::clone(&self.service), scope),
        }
    }
}

/// Cuts a name to [`MAX_NAME`].
pub(crate) fn cut(name: &str) -> &str {
    let mut end = MAX_NAME.min(name.len());
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or_default()
}

impl StoredSpan {
    pub(crate) fn new(message: &[u8], source: &Arc<SpanSource>) -> Self {
        Self {
            message: message.into(),
            source: Arc::clone(source),
        }
    }

    /// Returns the decoded span. Malformed messages are not stored, so `None` does not occur.
    pub(crate) fn decode(&self) -> Option<Span> {
        Span::decode(&*self.message).ok()
    }

    pub(crate) fn source(&self) -> &SpanSource {
        &self.source
    }

    /// Returns the maximum number of bytes that the span uses, as if it does not share its source.
    pub(crate) fn bytes(&self) -> usize {
        const OVERHEAD: usize = size_of::<StoredSpan>() + size_of::<SpanSource>() + 64;
        self.message.len() + self.source.service.len() + self.source.scope.len() + OVERHEAD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_one_scope_share_their_source() {
        let source = SpanSource::new("shop".into(), "a");
        let same = Arc::clone(&source).with_scope("a");
        assert!(Arc::ptr_eq(&source, &same));
        let other = same.with_scope("b");
        assert_eq!((&*other.service, &*other.scope), ("shop", "b"));
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(cut(&"ä".repeat(200)).len(), 256);
        assert_eq!(cut(&format!("x{}", "ä".repeat(200))).len(), 255);
        assert_eq!(cut("short"), "short");
    }
}
