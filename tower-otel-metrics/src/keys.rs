//! What a series is found by: first what is known of an exchange when it starts, then what its end
//! adds to that.
//!
//! They are hashed by hand because they are hashed for every exchange: the few small values are
//! packed into one word, and texts that most exchanges do not have take no step at all.

use std::hash::{Hash, Hasher};

use http::{Method, StatusCode, Version};
use tower_otel_core::semconv::{self, protocol};

use crate::{
    dimensions::{Dimensions, Unanswered},
    labels::{Own, OwnValues},
    series::{At, Query},
};

/// What is known of an exchange when it starts: borrowed from the request, or kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival<M, T> {
    /// The method, if it is a known one.
    pub(crate) method: Option<M>,
    /// The route that matched, on a server.
    pub(crate) route: Option<T>,
    /// The target of a client, and on a server its own address where that is asked for.
    pub(crate) host: Option<T>,
    pub(crate) port: Option<u16>,
    pub(crate) scheme: &'static str,
    /// The protocol of the request, on a server.
    pub(crate) version: Option<Version>,
}

pub(crate) type ArrivalKey = Arrival<Method, Box<str>>;

impl Hash for Arrival<&Method, &str> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            method,
            route,
            host,
            port,
            scheme,
            version,
        } = self;
        // The schemes there are differ in length.
        let scheme = (scheme.len() as u64) << 32;
        let port = port.map_or(0, |port| u64::from(port) << 1 | 1);
        state.write_u64(scheme | port);
        if let Some(method) = method {
            method.hash(state);
        }
        if let Some(version) = version {
            version.hash(state);
        }
        for text in [route, host].into_iter().flatten() {
            state.write(text.as_bytes());
        }
    }
}

impl Query for Arrival<&Method, &str> {
    type Key = ArrivalKey;

    fn is(&self, key: &ArrivalKey) -> bool {
        let Self {
            method,
            route,
            host,
            port,
            scheme,
            version,
        } = self;
        *method == key.method.as_ref()
            && *port == key.port
            && *version == key.version
            && same(scheme, key.scheme)
            && *route == key.route.as_deref()
            && *host == key.host.as_deref()
    }

    fn to_key(&self) -> ArrivalKey {
        Arrival {
            method: self.method.cloned(),
            route: self.route.map(Into::into),
            host: self.host.map(Into::into),
            port: self.port,
            scheme: self.scheme,
            version: self.version,
        }
    }
}

impl<'a> Arrival<&'a Method, &'a str> {
    pub(crate) fn dimensions(self) -> Dimensions<'a> {
        Dimensions {
            route: self.route,
            host: self.host,
            port: self.port,
            scheme: self.scheme,
            version: self.version.and_then(protocol::version),
            ..Dimensions::of_method(self.method.map_or(semconv::OTHER, Method::as_str))
        }
    }
}

impl ArrivalKey {
    pub(crate) fn borrowed(&self) -> Arrival<&Method, &str> {
        Arrival {
            method: self.method.as_ref(),
            route: self.route.as_deref(),
            host: self.host.as_deref(),
            port: self.port,
            scheme: self.scheme,
            version: self.version,
        }
    }
}

/// What the end of an exchange adds to its arrival.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome<'a> {
    pub(crate) arrival: At,
    pub(crate) status: Option<StatusCode>,
    pub(crate) unanswered: Option<Unanswered>,
    pub(crate) error_type: Option<&'static str>,
    /// The protocol of the response, on a client.
    pub(crate) version: Option<Version>,
    /// The route, where it was told on the way.
    pub(crate) route: Option<&'a str>,
    /// The values of the caller's labels.
    pub(crate) own: Own,
}

/// The same, kept.
#[derive(Debug)]
pub(crate) struct OutcomeKey {
    arrival: At,
    status: Option<StatusCode>,
    unanswered: Option<Unanswered>,
    error_type: Option<&'static str>,
    version: Option<Version>,
    route: Option<Box<str>>,
    own: Own,
}

impl Hash for Outcome<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            arrival,
            status,
            unanswered,
            error_type,
            version,
            route,
            own,
        } = self;
        let status = status.map_or(0, |status| u64::from(status.as_u16()));
        let unanswered = unanswered.map_or(0, |why| why as u64 + 1);
        state.write_u64(unanswered << 48 | status << 32 | u64::from(arrival.number()));
        if let Own::Known(at) = own {
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

    fn is(&self, key: &OutcomeKey) -> bool {
        let Self {
            arrival,
            status,
            unanswered,
            error_type,
            version,
            route,
            own,
        } = self;
        *arrival == key.arrival
            && *status == key.status
            && *unanswered == key.unanswered
            && *version == key.version
            && *error_type == key.error_type
            && *route == key.route.as_deref()
            && *own == key.own
    }

    fn to_key(&self) -> OutcomeKey {
        OutcomeKey {
            arrival: self.arrival,
            status: self.status,
            unanswered: self.unanswered,
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
        own: &'a OwnValues,
    ) -> Dimensions<'a> {
        let known = arrival.dimensions();
        Dimensions {
            status: self.status,
            unanswered: self.unanswered,
            error_type: self.error_type,
            version: self.version.and_then(protocol::version).or(known.version),
            route: self.route.or(known.route),
            own,
            ..known
        }
    }
}

/// Whether two texts are equal, which most often are one.
fn same(a: &'static str, b: &'static str) -> bool {
    std::ptr::eq(a, b) || a == b
}
