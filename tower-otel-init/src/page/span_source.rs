//! The service and the scope of spans.

use std::mem;
use std::sync::Arc;

/// The service and the scope of spans.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SpanSource {
    pub(crate) service: Arc<str>,
    pub(crate) scope: String,
}

/// The maximum length of the name of a service or a scope, in bytes.
const MAX_NAME: usize = 256;

/// The maximum number of scopes of this process that are remembered in addition to the last one.
const MAX_OTHER_SCOPES: usize = 15;

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

    /// Returns the maximum number of bytes that the source uses.
    pub(crate) fn bytes(&self) -> usize {
        const OVERHEAD: usize = size_of::<SpanSource>() + 64;
        self.service.len() + self.scope.len() + OVERHEAD
    }
}

/// The sources of the spans of this process. Spans that alternate between scopes allocate none.
#[derive(Debug)]
pub(crate) struct OwnSources {
    last: Arc<SpanSource>,
    others: Vec<Arc<SpanSource>>,
}

impl OwnSources {
    pub(crate) fn new(service: &str) -> Self {
        Self {
            last: SpanSource::new(cut(service).into(), ""),
            others: Vec::new(),
        }
    }

    /// Returns the source with a scope.
    pub(crate) fn with_scope(&mut self, scope: &str) -> &Arc<SpanSource> {
        let scope = cut(scope);
        if self.last.scope != scope {
            match self.others.iter_mut().find(|other| other.scope == scope) {
                Some(other) => mem::swap(&mut self.last, other),
                None => {
                    let new = SpanSource::new(Arc::clone(&self.last.service), scope);
                    self.others.truncate(MAX_OTHER_SCOPES - 1);
                    self.others.insert(0, mem::replace(&mut self.last, new));
                }
            }
        }
        &self.last
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
    fn spans_of_alternating_scopes_share_the_source_of_their_scope() {
        let mut sources = OwnSources::new("shop");
        let [a, b] = ["a", "b"].map(|scope| Arc::clone(sources.with_scope(scope)));
        for (scope, expected) in [("a", &a), ("b", &b), ("b", &b), ("a", &a)] {
            assert!(Arc::ptr_eq(sources.with_scope(scope), expected), "{scope}");
        }
        let source = sources.with_scope("a");
        assert_eq!((&*source.service, &*source.scope), ("shop", "a"));
    }

    #[test]
    fn a_process_with_many_scopes_remembers_sixteen() {
        let mut sources = OwnSources::new("shop");
        for scope in 0..1000 {
            sources.with_scope(&scope.to_string());
        }
        assert_eq!(sources.others.len(), MAX_OTHER_SCOPES);
        assert_eq!(sources.with_scope("990").scope, "990");
    }

    #[test]
    fn names_are_cut_between_characters() {
        assert_eq!(cut(&"ä".repeat(200)).len(), 256);
        assert_eq!(cut(&format!("x{}", "ä".repeat(200))).len(), 255);
        assert_eq!(cut("short"), "short");
    }
}
