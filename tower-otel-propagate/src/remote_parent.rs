//! What to make of a trace context that a stranger sent.

/// What becomes of the trace context of an incoming request.
///
/// See [trust boundaries](https://www.w3.org/TR/trace-context-2/#security-considerations).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// It is continued: the span becomes its child, sampled if it is. The default, right among
    /// services that know each other.
    #[default]
    Continue,
    /// A new trace begins and links to it. For public endpoints: a stranger can neither choose
    /// what is sampled nor join traces of others, and the connection is still there to follow.
    Link,
    /// A new trace begins and nothing of it is kept.
    Ignore,
}
