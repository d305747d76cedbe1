//! The headers that the layers read, found in one pass over the header map.

use http::{HeaderMap, HeaderValue};

/// The values of the headers that spans, metrics and propagation read from a request.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct KnownHeaders<'a> {
    /// `Host`.
    pub host: HeaderLines<'a>,
    /// `User-Agent`.
    pub user_agent: HeaderLines<'a>,
    /// `traceparent`.
    pub traceparent: HeaderLines<'a>,
    /// Whether the request has a header `tracestate`.
    pub has_tracestate: bool,
    /// Whether the request has a header `baggage`.
    pub has_baggage: bool,
}

/// The lines of one header.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct HeaderLines<'a> {
    first: Option<&'a HeaderValue>,
    is_repeated: bool,
}

impl<'a> HeaderLines<'a> {
    /// Returns the value of the first line.
    pub const fn first(&self) -> Option<&'a HeaderValue> {
        self.first
    }

    /// Returns the value if the header has exactly one line.
    pub const fn only(&self) -> Option<&'a HeaderValue> {
        if self.is_repeated { None } else { self.first }
    }

    #[inline]
    fn push(&mut self, value: &'a HeaderValue) {
        self.is_repeated = self.first.is_some();
        self.first = self.first.or(Some(value));
    }
}

impl<'a> KnownHeaders<'a> {
    #[inline]
    pub(crate) fn find(headers: &'a HeaderMap) -> Self {
        let mut known = Self::default();
        for (name, value) in headers {
            let name = name.as_str();
            // Most names are told apart by their length.
            match name.len() {
                4 if name == "host" => known.host.push(value),
                7 if name == "baggage" => known.has_baggage = true,
                10 if name == "user-agent" => known.user_agent.push(value),
                10 if name == "tracestate" => known.has_tracestate = true,
                11 if name == "traceparent" => known.traceparent.push(value),
                _ => {}
            }
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_static(name);
                (name, HeaderValue::from_static(value))
            })
            .collect()
    }

    #[test]
    fn each_header_is_found_by_its_name() {
        let map = headers(&[
            ("accept", "*/*"),
            ("user-agent", "agent"),
            ("traceparent", "parent"),
            ("host", "a.example"),
            ("tracestate", "a=1"),
            ("baggage", "b=2"),
        ]);
        let known = KnownHeaders::find(&map);
        let text = |lines: HeaderLines<'_>| lines.only().map(|value| value.as_bytes().to_vec());
        assert_eq!(text(known.host), Some(b"a.example".to_vec()));
        assert_eq!(text(known.user_agent), Some(b"agent".to_vec()));
        assert_eq!(text(known.traceparent), Some(b"parent".to_vec()));
        assert!(known.has_tracestate && known.has_baggage);
    }

    #[test]
    fn a_repeated_header_has_a_first_value_and_no_only_value() {
        let map = headers(&[("host", "a"), ("host", "b"), ("host", "c")]);
        let known = KnownHeaders::find(&map);
        assert_eq!(known.host.first(), map.get("host"));
        assert_eq!(known.host.only(), None);
        assert_eq!(known.user_agent.first(), None);
        assert!(!known.has_tracestate && !known.has_baggage);
    }
}
