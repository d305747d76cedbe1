//! What a series is found by: first what is known of an exchange when it starts, then what its end
//! adds to that.
//!
//! They are hashed by hand because they are hashed for every exchange: the few small values are
//! packed into one word, and texts that most exchanges do not have take no step at all.

use std::hash::{Hash, Hasher};

use http::{Method, StatusCode, Version};
use tower_otel_semconv::{self as semconv, HostPort, protocol};

use crate::{
    custom_labels::CustomValues,
    custom_values::CustomValuesRef,
    dimensions::{Dimensions, NoResponse},
    handle_cache::{EntryIndex, Query},
};

/// What is known of an exchange when it starts: borrowed from the request, or kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<M, T> {
    /// The method; when kept, only if it is a known one.
    pub(crate) method: Option<M>,
    /// The route that matched, on a server.
    pub(crate) route: Option<T>,
    pub(crate) asked: Option<Asked<T>>,
}

/// What not every layer asks of a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<T> {
    /// The target of a client, and on a server its own address where that is asked for.
    pub(crate) host: Option<T>,
    pub(crate) port: Option<u16>,
    pub(crate) scheme: &'static str,
    /// The protocol of the request, on a server.
    pub(crate) version: Option<Version>,
}

pub(crate) type ArrivalKey = Arrival<Method, Box<str>>;

impl Hash for Arrival<&Method, &str> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        // Few methods are alike in both length and initial; those that are cost a comparison.
        let method = self.method.map_or(0, |method| {
            let name = method.as_str().as_bytes();
            let initial = name.first().map_or(0, |initial| u64::from(*initial));
            (name.len() as u64) << 8 | initial
        });
        state.write_u64(method);
        if let Some(route) = self.route {
            state.write(route.as_bytes());
        }
        if let Some(asked) = &self.asked {
            asked.hash(state);
        }
    }
}

impl Hash for Asked<&str> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            host,
            port,
            scheme,
            version,
        } = self;
        // The schemes there are differ in length.
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

impl Query for Arrival<&Method, &str> {
    type Key = ArrivalKey;

    #[inline]
    fn matches(&self, key: &ArrivalKey) -> bool {
        self.method == key.method.as_ref()
            && self.route == key.route.as_deref()
            && match (&self.asked, &key.asked) {
                (None, None) => true,
                (Some(asked), Some(kept)) => asked.is(kept),
                _ => false,
            }
    }

    fn to_key(&self) -> ArrivalKey {
        Arrival {
            method: self.method.cloned(),
            route: self.route.map(Into::into),
            asked: self.asked.map(|asked| Asked {
                host: asked.host.map(Into::into),
                port: asked.port,
                scheme: asked.scheme,
                version: asked.version,
            }),
        }
    }
}

impl<'a> Asked<&'a str> {
    /// Where the request is sent to.
    pub(crate) fn at(server: Option<HostPort<'a>>) -> Self {
        Self {
            host: server.as_ref().map(|server| server.host),
            port: server.and_then(|server| server.port),
            scheme: "",
            version: None,
        }
    }

    fn is(&self, kept: &Asked<Box<str>>) -> bool {
        let Self {
            host,
            port,
            scheme,
            version,
        } = self;
        *port == kept.port
            && *version == kept.version
            && same(scheme, kept.scheme)
            && *host == kept.host.as_deref()
    }
}

impl<'a> Arrival<&'a Method, &'a str> {
    pub(crate) fn dimensions(self) -> Dimensions<'a> {
        let of = Dimensions {
            route: self.route,
            ..Dimensions::new(self.method.map_or(semconv::OTHER, Method::as_str))
        };
        match self.asked {
            None => of,
            Some(Asked {
                host,
                port,
                scheme,
                version,
            }) => Dimensions {
                host,
                port,
                scheme,
                version: version.and_then(protocol::version),
                ..of
            },
        }
    }
}

impl ArrivalKey {
    pub(crate) fn borrowed(&self) -> Arrival<&Method, &str> {
        Arrival {
            method: self.method.as_ref(),
            route: self.route.as_deref(),
            asked: self.asked.as_ref().map(|asked| Asked {
                host: asked.host.as_deref(),
                port: asked.port,
                scheme: asked.scheme,
                version: asked.version,
            }),
        }
    }
}

/// What the end of an exchange adds to its arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    /// Nothing if there was no room for it.
    pub(crate) arrival: Option<EntryIndex>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) no_response: Option<NoResponse>,
    pub(crate) error_type: Option<&'static str>,
    /// The protocol of the response, on a client.
    pub(crate) version: Option<Version>,
    /// The route, where it was told on the way.
    pub(crate) route: Option<&'a str>,
    /// The values of the caller's labels.
    pub(crate) own: CustomValuesRef,
}

/// The same, kept.
#[derive(Debug)]
pub(crate) struct OutcomeKey {
    arrival: Option<EntryIndex>,
    status: Option<StatusCode>,
    no_response: Option<NoResponse>,
    error_type: Option<&'static str>,
    version: Option<Version>,
    route: Option<Box<str>>,
    own: CustomValuesRef,
}

impl Hash for Outcome<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            arrival,
            status,
            no_response,
            error_type,
            version,
            route,
            own,
        } = self;
        let status = status.map_or(0, |status| u64::from(status.as_u16()));
        let no_response = no_response.map_or(0, |why| why as u64 + 1);
        let arrival = arrival.map_or(0, |at| u64::from(at.number()));
        state.write_u64(no_response << 48 | status << 32 | arrival);
        if let CustomValuesRef::Stored(at) = own {
            state.write_u32(at.number());
        }
        if let Some(version) = version {
            version.hash(state);
        }
        for text in [error_type, route].into_iter().flatten() {
            state.write(text.as_bytes());
        }
    }
}

impl Query for Outcome<'_> {
    type Key = OutcomeKey;

    #[inline]
    fn matches(&self, key: &OutcomeKey) -> bool {
        let Self {
            arrival,
            status,
            no_response,
            error_type,
            version,
            route,
            own,
        } = self;
        *arrival == key.arrival
            && *status == key.status
            && *no_response == key.no_response
            && *version == key.version
            && *error_type == key.error_type
            && *route == key.route.as_deref()
            && *own == key.own
    }

    fn to_key(&self) -> OutcomeKey {
        OutcomeKey {
            arrival: self.arrival,
            status: self.status,
            no_response: self.no_response,
            error_type: self.error_type,
            version: self.version,
            route: self.route.map(Into::into),
            own: self.own,
        }
    }
}

impl<'a> Outcome<'a> {
    /// With what its arrival was, and these values of labels.
    pub(crate) fn dimensions(
        self,
        arrival: Arrival<&'a Method, &'a str>,
        own: &'a CustomValues,
    ) -> Dimensions<'a> {
        let known = arrival.dimensions();
        Dimensions {
            status: self.status,
            no_response: self.no_response,
            error_type: self.error_type,
            version: self.version.and_then(protocol::version).or(known.version),
            route: self.route.or(known.route),
            custom: own,
            ..known
        }
    }
}

/// Whether two texts are equal, which most often are one.
fn same(a: &'static str, b: &'static str) -> bool {
    std::ptr::eq(a, b) || a == b
}
