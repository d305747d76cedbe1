//! One neutral view over the requests and responses of different libraries.

use std::net::SocketAddr;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};

use crate::{PeerAddr, Target};

/// What an observer may see, and change, of a request before it is sent or handled.
///
/// Implemented for [`http::Request`] with any body, and for `reqwest::Request` with the feature
/// `reqwest`.
pub trait RequestHead {
    /// The method, as it was sent.
    fn method(&self) -> &Method;
    /// The target.
    fn target(&self) -> Target<'_>;
    /// The protocol version of the request. On a client this is the version asked for, not the one
    /// that was negotiated.
    fn version(&self) -> Version;
    /// The headers.
    fn headers(&self) -> &HeaderMap;
    /// The headers, for an observer that propagates context.
    fn headers_mut(&mut self) -> &mut HeaderMap;
    /// The extensions, where the request type has any to show (`reqwest::Request` has not).
    fn extensions(&self) -> Option<&Extensions>;
    /// The extensions, for an observer that leaves something for the handler.
    fn extensions_mut(&mut self) -> Option<&mut Extensions>;
    /// The address of the peer that asks, as far as the request knows it.
    fn peer(&self) -> Option<SocketAddr> {
        self.extensions().and_then(PeerAddr::of)
    }
}

/// What an observer may see of a response before its body.
pub trait ResponseHead {
    /// The status.
    fn status(&self) -> StatusCode;
    /// The protocol version. On a client this is the negotiated one.
    fn version(&self) -> Version;
    /// The headers.
    fn headers(&self) -> &HeaderMap;
    /// The extensions.
    fn extensions(&self) -> &Extensions;
    /// The address of the peer that answered, as far as the response knows it.
    fn peer(&self) -> Option<SocketAddr> {
        PeerAddr::of(self.extensions())
    }
}

impl<B> RequestHead for http::Request<B> {
    fn method(&self) -> &Method {
        self.method()
    }

    fn target(&self) -> Target<'_> {
        Target::of(self.uri())
    }

    fn version(&self) -> Version {
        self.version()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers_mut()
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(self.extensions())
    }

    fn extensions_mut(&mut self) -> Option<&mut Extensions> {
        Some(self.extensions_mut())
    }
}

impl<B> ResponseHead for http::Response<B> {
    fn status(&self) -> StatusCode {
        self.status()
    }

    fn version(&self) -> Version {
        self.version()
    }

    fn headers(&self) -> &HeaderMap {
        self.headers()
    }

    fn extensions(&self) -> &Extensions {
        self.extensions()
    }
}

/// The value of a header that has exactly one.
pub fn only_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    // Most messages have no header twice, and that is known before any is looked up.
    if headers.len() == headers.keys_len() {
        return headers.get(name);
    }
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// The one `Content-Length` of a message, if it has exactly one and it is a number.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    let value = only_value(headers, &header::CONTENT_LENGTH)?;
    if !value.as_bytes().iter().all(u8::is_ascii_digit) {
        return None;
    }
    value.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_value_is_the_only_one_whatever_else_is_there_twice() {
        let mut headers = HeaderMap::new();
        let value = |headers: &HeaderMap| only_value(headers, &header::HOST).cloned();
        assert_eq!(value(&headers), None);
        let host = HeaderValue::from_static("a.example");
        headers.append(header::HOST, host.clone());
        assert_eq!(value(&headers), Some(host.clone()));
        for _ in 0..2 {
            headers.append(header::VIA, HeaderValue::from_static("1.1 proxy"));
        }
        assert_eq!(value(&headers), Some(host.clone()));
        headers.append(header::HOST, host);
        assert_eq!(value(&headers), None);
    }

    #[test]
    fn only_a_single_plain_content_length_counts() {
        let with = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_LENGTH, HeaderValue::from_static(value));
            }
            content_length(&headers)
        };
        assert_eq!(with(&["12"]), Some(12));
        assert_eq!(with(&[]), None);
        assert_eq!(with(&["12", "12"]), None);
        assert_eq!(with(&["+12"]), None);
        assert_eq!(with(&["twelve"]), None);
        assert_eq!(with(&["99999999999999999999999"]), None);
    }
}
