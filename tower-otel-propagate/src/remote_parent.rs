//! The policy for the trace context of an incoming request.

/// What a server does with the trace context of an incoming request. Default:
/// [`Continue`](Self::Continue).
///
/// See the [security considerations](https://www.w3.org/TR/trace-context-2/#security-considerations)
/// of the specification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RemoteParent {
    /// Continues the trace: the server span is a child of the caller's span and inherits its
    /// sampling decision. For services that trust their callers: any caller can switch recording on
    /// and off.
    #[default]
    Continue,
    /// Starts a new trace and links it to the caller's span. For public endpoints: callers can
    /// neither decide what is sampled nor add spans to other traces. The sampler decides as for a
    /// request without a caller's context.
    Link,
    /// Starts a new trace and ignores the caller's context.
    Ignore,
}
