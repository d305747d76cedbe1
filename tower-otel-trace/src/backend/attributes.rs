//! Who takes the attributes of a span, in whatever form they are kept.

use std::net::IpAddr;

use http::HeaderValue;
use opentelemetry::{KeyValue, Value};
use tower_otel_semconv::{HostPort, default_port};

use super::recurring;
use crate::facts::Facts;

/// Takes attributes one by one. What is not known is not there.
pub(super) trait Attributes {
    fn text(&mut self, key: &'static str, value: Option<&str>);

    /// A text that comes again with most requests.
    fn recurring(&mut self, key: &'static str, value: Option<&str>) {
        self.text(key, value);
    }

    /// The route of a request.
    fn route(&mut self, key: &'static str, facts: &Facts<'_>) {
        self.text(key, facts.route());
    }

    fn owned(&mut self, key: &'static str, value: Option<String>);

    fn fixed(&mut self, key: &'static str, value: Option<&'static str>);

    fn int(&mut self, key: &'static str, value: Option<i64>);

    fn address(&mut self, key: &'static str, value: Option<IpAddr>) {
        self.owned(key, value.map(|address| address.to_string()));
    }

    fn port(&mut self, key: &'static str, value: Option<u16>) {
        self.int(key, value.map(i64::from));
    }

    /// The value of a header, if it is text.
    fn header(&mut self, key: &'static str, value: Option<&HeaderValue>) {
        self.recurring(key, value.and_then(|value| value.to_str().ok()));
    }

    /// A host and its port, if the text can be read as such. The port of the scheme stands in for
    /// one that is not written.
    fn host(&mut self, keys: (&'static str, &'static str), text: &[u8], scheme: Option<&str>) {
        let server = HostPort::parse_bytes(text).map(|server| server.or_default_port(scheme));
        if let Some(HostPort { host, port }) = server {
            self.text(keys.0, Some(host));
            self.port(keys.1, port);
        }
    }
}

/// As OpenTelemetry has them.
impl Attributes for Vec<KeyValue> {
    fn text(&mut self, key: &'static str, value: Option<&str>) {
        self.owned(key, value.map(str::to_owned));
    }

    fn recurring(&mut self, key: &'static str, value: Option<&str>) {
        take(self, key, value.map(recurring::text));
    }

    fn route(&mut self, key: &'static str, facts: &Facts<'_>) {
        match facts.kept_route() {
            Some(route) => take(self, key, Some(route)),
            None => self.text(key, facts.route()),
        }
    }

    fn owned(&mut self, key: &'static str, value: Option<String>) {
        take(self, key, value);
    }

    fn fixed(&mut self, key: &'static str, value: Option<&'static str>) {
        take(self, key, value);
    }

    fn int(&mut self, key: &'static str, value: Option<i64>) {
        take(self, key, value);
    }

    fn address(&mut self, key: &'static str, value: Option<IpAddr>) {
        take(self, key, value.map(recurring::address));
    }

    fn host(&mut self, keys: (&'static str, &'static str), text: &[u8], scheme: Option<&str>) {
        if let Some((host, port)) = recurring::server(text) {
            take(self, keys.0, Some(host));
            self.port(keys.1, port.or_else(|| default_port(scheme?)));
        }
    }
}

fn take(to: &mut Vec<KeyValue>, key: &'static str, value: Option<impl Into<Value>>) {
    // Made where it stays: room for it is there before it is.
    to.extend(value.into_iter().map(|value| KeyValue::new(key, value)));
}
