//! Which clients of a mounted page are accepted. `Host` does not tell: a client or a proxy writes it.

use http::{HeaderMap, Request, Version};
use tower_otel_core::PeerAddr;

const UNKNOWN: &str = "the address of the client is not known (expected that axum serves \
    `into_make_service_with_connect_info::<SocketAddr>()` with the feature `connect-info`, or that the server inserts a \
    `PeerAddr` into the extensions of requests; to show the page, which has no authentication, to other machines, set \
    TELEMETRY_PAGE_REMOTE=true)\n";
const REMOTE: &str = "the client is another machine (to show the page, which has no authentication, to other machines, set \
    TELEMETRY_PAGE_REMOTE=true)\n";
const FORWARDED: &str = "a proxy forwards this request, or it is HTTP/1.0 (to show the page, which has no authentication, to other machines, \
    set TELEMETRY_PAGE_REMOTE=true)\n";

/// Returns why a request is refused, unless a client on this machine sends it without a proxy.
pub(crate) fn refusal<B>(request: &Request<B>) -> Option<&'static str> {
    match PeerAddr::of(request.extensions()) {
        None => Some(UNKNOWN),
        Some(peer) if !peer.ip().to_canonical().is_loopback() => Some(REMOTE),
        // Many proxies send HTTP/1.0 by default, and no header of their own.
        Some(_) if request.version() < Version::HTTP_11 => Some(FORWARDED),
        Some(_) => is_forwarded(request.headers()).then_some(FORWARDED),
    }
}

fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        matches!(name, "forwarded" | "x-real-ip" | "via") || name.starts_with("x-forwarded-")
    })
}
