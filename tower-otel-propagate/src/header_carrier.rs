//! Adapters from a header map to the carriers of OpenTelemetry's propagators.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::propagation::{Extractor, Injector};

/// Writes headers. Names and values that are invalid in HTTP, and headers beyond the capacity of the
/// map, are omitted.
pub(crate) struct HeaderInjector<'a>(pub(crate) &'a mut HeaderMap);

impl Injector for HeaderInjector<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = HeaderName::from_bytes(key.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) {
            // Fails if the map is full. The map is then unchanged.
            let _ = self.0.try_insert(name, value);
        }
    }
}

/// Reads headers, including all lines of a repeated header.
pub(crate) struct HeaderExtractor<'a>(pub(crate) &'a HeaderMap);

impl Extractor for HeaderExtractor<'_> {
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
