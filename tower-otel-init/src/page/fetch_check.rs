//! For which pages a browser may send requests.
//!
//! A page of a stranger cannot read the answers. It could hold all connections, and find out texts of spans by the time that
//! a search takes. A browser states in `Sec-Fetch-Site` for whom it sends a request to a loopback address; other clients do
//! not send it.
//!
//! See [Fetch Metadata](https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header).

use http::HeaderMap;

const SITE: &str = "sec-fetch-site";

/// Returns whether the request is not sent for another page: by this page, by the user, or by a client that is no browser.
pub(crate) fn is_allowed(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(SITE).iter();
    sites.all(|site| site == "same-origin" || site == "none")
}
