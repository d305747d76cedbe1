//! The policy for the trace context of an incoming request.

/// The policy of a server for the trace context of an incoming request. Default: [`Continue`](Self::Continue).
///
/// Set it with `TraceLayer::remote_parent`: `TraceLayer::server().remote_parent(|_| RemoteParent::Link)`.
///
/// See the [security considerations](https://www.w3.org/TR/trace-context-2/#security-considerations)
/// of the specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteParent {
    /// Continues the trace: the server span is a child of the caller's span and inherits its
    /// sampling decision. Use it if callers are trusted: by its sampled flag, any caller can switch the
    /// recording of its requests on and off.
    #[default]
    Continue,
    /// Starts a new trace and links it to the caller's span. Use it for public endpoints: callers can
    /// neither decide what is sampled nor add spans to other traces. The sampler decides as for a
    /// request without a caller's context.
    Link,
    /// Starts a new trace and ignores the caller's context.
    Ignore,
}
