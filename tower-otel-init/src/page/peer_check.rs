//! Which clients of a mounted page are accepted. `Host` does not tell: a client or a proxy writes it.

use http::{HeaderMap, Request};
use tower_otel_core::PeerAddr;

const UNKNOWN: &str = "the address of the client is not known (expected that axum serves \
    `into_make_service_with_connect_info::<SocketAddr>()` with the feature `connect-info`, or that the server inserts a \
    `PeerAddr` into the extensions of requests; to show the page, which has no authentication, to other machines, set \
    TELEMETRY_PAGE_REMOTE=true)\n";
const REMOTE: &str = "the client is another machine (to show the page, which has no authentication, to other machines, set \
    TELEMETRY_PAGE_REMOTE=true)\n";
const FORWARDED: &str = "a proxy forwards this request (to show the page, which has no authentication, to other machines, \
    set TELEMETRY_PAGE_REMOTE=true)\n";

/// Returns why a request is refused, unless a client on this machine sends it without a proxy.
pub(crate) fn refusal<B>(request: &Request<B>) -> Option<&'static str> {
    match PeerAddr::of(request.extensions()) {
        None => Some(UNKNOWN),
        Some(peer) if !peer.ip().to_canonical().is_loopback() => Some(REMOTE),
        Some(_) => is_forwarded(request.headers()).then_some(FORWARDED),
    }
}

fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        matches!(name, "forwarded" | "x-real-ip" | "via") || name.starts_with("x-forwarded-")
    })
}
