//! The request extension that disables propagation.

use tower_otel_core::RequestHead;

/// A request extension: [`PropagateLayer`](crate::PropagateLayer) sends the request unchanged.
///
/// For requests with extensions: `http::Request`, and requests of `reqwest_middleware`
/// (`.with_extension(NoPropagation)`). Use [`PropagateLayer::filter`](crate::PropagateLayer::filter)
/// for rules about hosts.
///
/// # Redirects
///
/// An outer layer that creates new requests may drop the extension. `FollowRedirectLayer` of
/// tower-http 0.7 keeps it if a redirect leads to the same origin, and by default drops it if a
/// redirect leads to another one, so that the second request is propagated. To keep it, use a policy
/// with `FilterCredentials::new().allow_extension::<NoPropagation>()`, or a filter by host.
/// tower-http 0.6 drops it for every redirect.
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
