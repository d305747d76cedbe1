//! A header map as OpenTelemetry's propagators want one.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector};

/// Writes into headers what fits there: a propagator's name or value that no header can have is
/// left out, and so is all that would make the map too large.
pub(crate) struct Writer<'a>(pub(crate) &'a mut HeaderMap);

impl Injector for Writer<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::from_bytes(key.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            // An error says that the map is full, and nothing has changed.
            let _ = self.0.try_insert(name, value);
        }
    }
}

/// Reads headers, all lines of each.
pub(crate) struct Reader<'a>(pub(crate) &'a HeaderMap);

impl Extractor for Reader<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let lines = self.0.get_all(key).iter();
        let lines: Vec<_> = lines.filter_map(|line| line.to_str().ok()).collect();
        Some(lines).filter(|lines| !lines.is_empty())
    }
}
