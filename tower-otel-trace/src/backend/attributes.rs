//! Who takes the attributes of a span, in whatever form they are kept.

use std::net::IpAddr;

use http::HeaderValue;
use opentelemetry::KeyValue;
use tower_otel_core::semconv::HostPort;

/// Takes attributes one by one. What is not known is not there.
pub(super) trait Attributes {
    fn text(&mut self, key: &'static str, value: Option<&str>);

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
        self.text(key, value.and_then(|value| value.to_str().ok()));
    }

    /// A host and its port, if the text can be read as such. The port of the scheme stands in for
    /// one that is not written.
    fn host(&mut self, keys: (&'static str, &'static str), text: &[u8], scheme: Option<&str>) {
        let server = HostPort::read(text).map(|server| server.or_default_port(scheme));
        if let Some(HostPort { host, port }) = server {
            self.text(keys.0, Some(host));
            self.port(keys.1, port);
        }
    }
}

impl Attributes for Vec<KeyValue> {
    fn text(&mut self, key: &'static str, value: Option<&str>) {
        self.owned(key, value.map(str::to_owned));
    }

    fn owned(&mut self, key: &'static str, value: Option<String>) {
        self.extend(value.map(|value| KeyValue::new(key, value)));
    }

    fn fixed(&mut self, key: &'static str, value: Option<&'static str>) {
        self.extend(value.map(|value| KeyValue::new(key, value)));
    }

    fn int(&mut self, key: &'static str, value: Option<i64>) {
        self.extend(value.map(|value| KeyValue::new(key, value)));
    }
}
