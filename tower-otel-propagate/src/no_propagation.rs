//! The request extension that disables propagation.

use tower_otel_core::RequestHead;

/// A request extension that excludes the request from [`PropagateLayer`](crate::PropagateLayer): it is sent unchanged.
///
/// Insert it into an `http::Request`, or into a request of `reqwest_middleware` with
/// `.with_extension(NoPropagation)`. A `reqwest::Request` has no extensions. To exclude hosts, use
/// [`PropagateLayer::filter`](crate::PropagateLayer::filter).
///
/// # Redirects
///
/// An outer layer that creates new requests may drop the extension. The new request is then sent with trace
/// headers.
///
/// | `FollowRedirectLayer` of | redirect to the same origin | to another origin |
/// |---|---|---|
/// | tower-http 0.7 | keeps the extension | drops it, unless the policy is `FilterCredentials::new().allow_extension::<NoPropagation>()` |
/// | tower-http 0.6 | drops it | drops it |
///
/// A filter by host applies to every redirect.
///
/// ```
/// use tower_otel_propagate::NoPropagation;
///
/// let request = http::Request::get("https://third-party.example/")
///     .extension(NoPropagation)
///     .body(())?;
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoPropagation;

impl NoPropagation {
    /// Returns whether a request has this extension.
    pub(crate) fn applies_to(request: &dyn RequestHead) -> bool {
        request
            .extensions()
            .is_some_and(|extensions| extensions.get::<Self>().is_some())
    }
}
