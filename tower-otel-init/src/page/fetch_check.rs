//! Refuses requests that a browser sends for a page of another site.
//!
//! Such a page cannot read the responses. But it could use all connections, and guess texts of spans from the duration of
//! searches. In requests to a loopback address, browsers send `Sec-Fetch-Site`, which states the relation to the site of the
//! page. Other clients do not send the header.
//!
//! See [Fetch Metadata](https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header).

use http::HeaderMap;

const SITE: &str = "sec-fetch-site";

/// Returns whether the request is allowed: this page, the user, or a client that is not a browser sends it.
pub(crate) fn is_allowed(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SITE).iter();
    sites.all(|site| site == "same-origin" || site == "none")
}
