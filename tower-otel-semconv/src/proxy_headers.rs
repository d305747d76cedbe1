//! The headers that proxies write: `Forwarded` and `X-Forwarded-*`.
//!
//! The functions return entries from the nearest proxy to the farthest, whether they are trusted or not.

use http::{HeaderMap, HeaderName, header::FORWARDED};

use crate::forwarded_element::{Element, Node};
use crate::header_list::HeaderList;

/// `X-Forwarded-For`: the addresses that sent the request to each proxy.
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Host`: the `Host` that each proxy received.
pub(crate) static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// `X-Forwarded-Proto`: the scheme that each proxy received.
pub(crate) static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Returns whether a request has a `Forwarded` header.
pub(crate) fn has_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(&FORWARDED)
}

/// Returns whether a request has an `X-Forwarded-For`, `X-Forwarded-Proto` or `X-Forwarded-Host` header.
pub(crate) fn has_x_forwarded(headers: &HeaderMap) -> bool {
    [&X_FORWARDED_FOR, &X_FORWARDED_PROTO, &X_FORWARDED_HOST]
        .into_iter()
        .any(|name| headers.contains_key(name))
}

/// Returns the elements of all `Forwarded` lines, nearest proxy first; `None` for an invalid element.
///
/// At most 32 elements of at most 512 bytes are read. Anything beyond ends the iteration with `None`.
pub(crate) fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = Option<Element<'_>>> {
    HeaderList::quoted(headers, &FORWARDED).map(|entry| Element::parse(entry?))
}

/// Returns the entries of all `X-Forwarded-For` lines, nearest proxy first, within the limits of [`forwarded`].
pub(crate) fn x_forwarded_for(headers: &HeaderMap) -> impl Iterator<Item = Node> {
    x_forwarded(headers, &X_FORWARDED_FOR).map(|entry| entry.map_or(Node::Unknown, Node::parse))
}

/// Returns the entries of another `X-Forwarded-*` header, nearest proxy first, within the limits of [`forwarded`].
pub(crate) fn x_forwarded<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Option<&'a str>> + use<'a> {
    HeaderList::plain(headers, name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn entries_are_read_from_the_nearest_proxy() {
        let mut headers = HeaderMap::new();
        let mut append = |name, value| headers.append(name, HeaderValue::from_static(value));
        append(&FORWARDED, "for=192.0.2.1, for=unknown");
        append(&FORWARDED, "proto");
        append(&X_FORWARDED_FOR, "192.0.2.1:80,,nonsense");

        let nodes: Vec<_> = forwarded(&headers)
            .map(|element| element.and_then(|element| element.node))
            .collect();
        let client = Node::parse("192.0.2.1");
        assert!(client.endpoint().is_some());
        assert_eq!(nodes, [None, Some(Node::Unknown), Some(client)]);

        let nodes: Vec<_> = x_forwarded_for(&headers).collect();
        let client = Node::parse("192.0.2.1:80");
        assert!(client.endpoint().is_some());
        assert_eq!(nodes, [Node::Unknown, client]);
    }
}
