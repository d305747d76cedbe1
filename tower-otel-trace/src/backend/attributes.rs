//! Who takes the attributes of a span, in whatever form they are kept.

use std::net::IpAddr;

use opentelemetry::KeyValue;

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
