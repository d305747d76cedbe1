//! The request extension that disables propagation.

use tower_otel_core::RequestHead;

/// A request extension: [`PropagateLayer`](crate::PropagateLayer) sends the request unchanged.
///
/// For requests with extensions: `http::Request`, and requests of `reqwest_middleware`
/// (`.with_extension(NoPropagation)`). An outer layer that creates new requests may drop it:
/// tower-http's `FollowRedirect` does so for every redirect. Use
/// [`PropagateLayer::filter`](crate::PropagateLayer::filter) for rules about hosts.
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
    /// Whether a request has this extension.
    pub(crate) fn applies_to(request: &dyn RequestHead) -> bool {
        request
            .extensions()
            .is_some_and(|extensions| extensions.get::<Self>().is_some())
    }
}
