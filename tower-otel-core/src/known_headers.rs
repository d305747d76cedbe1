//! The headers that the layers read, found in one pass over the header map.

use http::{
    HeaderMap, HeaderValue,
    header::{HOST, USER_AGENT},
};

/// The headers that the layers read.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default)]
pub struct KnownHeaders<'a> {
    /// `Host`. `None` if it is missing or repeated.
    pub host: Option<&'a HeaderValue>,
    /// The first `User-Agent`, if there is one.
    pub user_agent: Option<&'a HeaderValue>,
    /// `traceparent`. `None` if it is missing or repeated.
    pub traceparent: Option<&'a HeaderValue>,
    /// Whether there is a `tracestate` header.
    pub has_tracestate: bool,
    /// Whether there is a `baggage` header.
    pub has_baggage: bool,
}

/// The lines of a header.
#[derive(Clone, Copy, Default)]
enum Lines<'a> {
    #[default]
    None,
    One(&'a HeaderValue),
    Several,
}

impl<'a> Lines<'a> {
    #[inline]
    const fn push(&mut self, value: &'a HeaderValue) {
        *self = match self {
            Self::None => Self::One(value),
            _ => Self::Several,
        };
    }

    #[inline]
    const fn only_line(self) -> Option<&'a HeaderValue> {
        match self {
            Self::One(value) => Some(value),
            _ => None,
        }
    }
}

impl<'a> KnownHeaders<'a> {
    /// Finds the headers in one pass over the map.
    #[inline]
    pub(crate) fn find(headers: &'a HeaderMap) -> Self {
        let mut known = Self::default();
        let (mut host, mut traceparent) = (Lines::None, Lines::None);
        for (name, value) in headers {
            // The standard names are compared as numbers.
            if *name == HOST {
                host.push(value);
                continue;
            }
            if *name == USER_AGENT {
                known.user_agent = known.user_agent.or(Some(value));
                continue;
            }
            match name.as_str() {
                "baggage" => known.has_baggage = true,
                "tracestate" => known.has_tracestate = true,
                "traceparent" => traceparent.push(value),
                _ => {}
            }
        }
        known.host = host.only_line();
        known.traceparent = traceparent.only_line();
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
        let text = |value: Option<&HeaderValue>| value.map(|value| value.as_bytes().to_vec());
        assert_eq!(text(known.host), Some(b"a.example".to_vec()));
        assert_eq!(text(known.user_agent), Some(b"agent".to_vec()));
        assert_eq!(text(known.traceparent), Some(b"parent".to_vec()));
        assert!(known.has_tracestate && known.has_baggage);
    }

    #[test]
    fn of_repeated_headers_only_the_user_agent_has_a_value() {
        let map = headers(&[
            ("host", "a"),
            ("traceparent", "a"),
            ("user-agent", "a"),
            ("host", "b"),
            ("traceparent", "b"),
            ("user-agent", "b"),
            ("host", "c"),
        ]);
        let known = KnownHeaders::find(&map);
        assert_eq!(known.host, None);
        assert_eq!(known.traceparent, None);
        assert_eq!(known.user_agent, map.get("user-agent"));
        assert!(!known.has_tracestate && !known.has_baggage);
    }
}
