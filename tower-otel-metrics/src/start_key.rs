//! The part of a series' key from the request.
//!
//! It is hashed for every exchange, so `Hash` is implemented by hand: small values are packed into one word, and values that
//! most exchanges do not have need no step.

use std::hash::{Hash, Hasher};

use http::{Method, Version};
use tower_otel_semconv::{self as semconv, protocol_version};

use crate::{dimensions::Dimensions, handle_cache::Query};

/// The part of a series' key from the request. It is borrowed from the request, or owned by a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StartKey<M, T, E> {
    /// The method. A table contains only known methods.
    pub(crate) method: Option<M>,
    /// The matched route of a server.
    pub(crate) route: Option<T>,
    pub(crate) endpoint: Option<E>,
}

/// Host, port, scheme and version. Recorded for clients, and for servers if an option is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndpointKey<T> {
    /// The host of the requested server.
    pub(crate) host: Option<T>,
    pub(crate) port: Option<u16>,
    pub(crate) scheme: &'static str,
    /// The protocol version of a server's request.
    pub(crate) version: Option<Version>,
}

pub(crate) type BorrowedStartKey<'a> = StartKey<&'a Method, &'a str, EndpointKey<&'a str>>;

/// The endpoint is boxed, so that a key without one uses fewer cache lines.
pub(crate) type OwnedStartKey = StartKey<Method, Box<str>, Box<EndpointKey<Box<str>>>>;

impl Hash for BorrowedStartKey<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.method.map_or(0, method_word));
        if let Some(route) = self.route {
            state.write(route.as_bytes());
        }
        if let Some(endpoint) = &self.endpoint {
            endpoint.hash(state);
        }
    }
}

/// The key of a request whose only labels are method and route.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainStartKey<'a> {
    pub(crate) method: &'a Method,
    pub(crate) route: &'a str,
}

/// Equals the hash of a [`BorrowedStartKey`] with these values.
impl Hash for PlainStartKey<'_> {
    #[inline(always)]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(method_word(self.method));
        state.write(self.route.as_bytes());
    }
}

impl Query for PlainStartKey<'_> {
    type Key = OwnedStartKey;

    #[inline(always)]
    fn matches(&self, key: &OwnedStartKey) -> bool {
        key.method.as_ref() == Some(self.method)
            && key.route.as_deref() == Some(self.route)
            && key.endpoint.is_none()
    }

    fn to_key(&self) -> OwnedStartKey {
        StartKey {
            method: Some(self.method.clone()),
            route: Some(self.route.into()),
            endpoint: None,
        }
    }
}

/// Returns a word for the hash of a method. Methods of the same length and initial have the same word; the comparison of the
/// keys distinguishes them.
#[inline]
fn method_word(method: &Method) -> u64 {
    const fn word(name: &str) -> u64 {
        let initial = match name.as_bytes() {
            [initial, ..] => *initial,
            [] => 0,
        };
        (name.len() as u64) << 8 | initial as u64
    }
    // The names of the frequent methods are not read.
    match *method {
        Method::GET => const { word("GET") },
        Method::POST => const { word("POST") },
        Method::PUT => const { word("PUT") },
        Method::DELETE => const { word("DELETE") },
        Method::PATCH => const { word("PATCH") },
        _ => word(method.as_str()),
    }
}

impl Hash for EndpointKey<&str> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            host,
            port,
            scheme,
            version,
        } = self;
        // The known schemes have different lengths.
        let scheme = (scheme.len() as u64) << 32;
        let port = port.map_or(0, |port| u64::from(port) << 1 | 1);
        state.write_u64(scheme | port);
        if let Some(version) = version {
            version.hash(state);
        }
        if let Some(host) = host {
            state.write(host.as_bytes());
        }
    }
}

impl Query for BorrowedStartKey<'_> {
    type Key = OwnedStartKey;

    #[inline(always)]
    fn matches(&self, key: &OwnedStartKey) -> bool {
        self.method == key.method.as_ref()
            && self.route == key.route.as_deref()
            && match (&self.endpoint, &key.endpoint) {
                (None, None) => true,
                (Some(endpoint), Some(key)) => endpoint.matches(key),
                _ => false,
            }
    }

    fn to_key(&self) -> OwnedStartKey {
        StartKey {
            method: self.method.cloned(),
            route: self.route.map(Into::into),
            endpoint: self.endpoint.map(|endpoint| {
                Box::new(EndpointKey {
                    host: endpoint.host.map(Into::into),
                    port: endpoint.port,
                    scheme: endpoint.scheme,
                    version: endpoint.version,
                })
            }),
        }
    }
}

impl EndpointKey<&str> {
    fn matches(&self, key: &EndpointKey<Box<str>>) -> bool {
        let Self {
            host,
            port,
            scheme,
            version,
        } = self;
        *port == key.port
            && *version == key.version
            && is_same_text(scheme, key.scheme)
            && *host == key.host.as_deref()
    }
}

impl<'a> BorrowedStartKey<'a> {
    pub(crate) fn dimensions(self) -> Dimensions<'a> {
        let dimensions = Dimensions {
            route: self.route,
            ..Dimensions::new(self.method.map_or(semconv::OTHER, Method::as_str))
        };
        match self.endpoint {
            None => dimensions,
            Some(EndpointKey {
                host,
                port,
                scheme,
                version,
            }) => Dimensions {
                host,
                port,
                scheme,
                version: version.and_then(protocol_version),
                ..dimensions
            },
        }
    }
}

impl OwnedStartKey {
    pub(crate) fn borrowed(&self) -> BorrowedStartKey<'_> {
        StartKey {
            method: self.method.as_ref(),
            route: self.route.as_deref(),
            endpoint: self.endpoint.as_ref().map(|endpoint| EndpointKey {
                host: endpoint.host.as_deref(),
                port: endpoint.port,
                scheme: endpoint.scheme,
                version: endpoint.version,
            }),
        }
    }
}

/// Returns whether two texts are equal. The addresses are compared first, because they are usually equal.
fn is_same_text(a: &'static str, b: &'static str) -> bool {
    std::ptr::eq(a, b) || a == b
}
