//! How spans are made of what exchanges have left behind.

use std::{
    borrow::Cow,
    mem,
    time::{Instant, SystemTime},
};

use opentelemetry::{
    InstrumentationScope, KeyValue, Value,
    trace::{SpanContext, SpanKind},
};
use opentelemetry_sdk::trace::{SpanData, SpanLimits};
use tower_otel_core::Kind;
use tower_otel_semconv::{attribute, span_name};

use super::{
    entry::{Entry, Moment, Rest, limited},
    keys,
    tape::Tape,
};

/// The two clocks, read together: what one of them said, in terms of the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    instant: Instant,
    system: SystemTime,
}

impl Clocks {
    /// The nearest of some readings, lest they be torn apart by other threads.
    pub(super) fn read() -> Self {
        let read = |_| {
            let before = Instant::now();
            let system = SystemTime::now();
            let between = before.elapsed();
            let instant = before + between / 2;
            (between, Self { instant, system })
        };
        let readings = [(); 4].map(read);
        let nearest = readings.into_iter().min_by_key(|(between, _)| *between);
        nearest.map_or_else(|| read(()).1, |(_, clocks)| clocks)
    }

    /// What the clock on the wall said at this moment, had it been set by then as it is now.
    fn at(&self, moment: Moment) -> SystemTime {
        let instant = match moment {
            Moment::Told(time) => return time,
            Moment::At(instant) => instant,
        };
        let time = match instant.checked_duration_since(self.instant) {
            Some(since) => self.system.checked_add(since),
            None => self.system.checked_sub(self.instant - instant),
        };
        time.unwrap_or(self.system)
    }
}

/// The name, of what the request says: what others say is no part of it.
fn name_of(kind: Kind, tape: &Tape, rest: &Rest) -> Cow<'static, str> {
    if let Some(called) = tape.find(keys::NAME) {
        return Cow::Owned(called.to_owned());
    }
    let find = |key| {
        let own = || {
            let mut own = rest.attributes.iter().take(rest.own);
            match &own.find(|attribute| attribute.key.as_str() == key)?.value {
                Value::String(text) => Some(text.as_str()),
                _ => None,
            }
        };
        tape.find(keys::code(key)?).or_else(own)
    };
    let target = match kind {
        Kind::Server => attribute::HTTP_ROUTE,
        Kind::Client => attribute::URL_TEMPLATE,
    };
    let method = find(attribute::HTTP_REQUEST_METHOD);
    Cow::Owned(span_name(method, find(target)).into_owned())
}

impl Entry {
    /// The span, as exporters take it.
    pub(super) fn span(
        &mut self,
        clocks: Clocks,
        scope: &InstrumentationScope,
        limits: &SpanLimits,
    ) -> SpanData {
        let mut attributes = self.tape.attributes();
        let mut rest = self.rest.take().map_or_else(Rest::default, |rest| *rest);
        let name = rest.name.take();
        let name = name.unwrap_or_else(|| name_of(self.kind, &self.tape, &rest));
        attributes.extend(rest.attributes);
        let status = Some(i64::from(self.status_code)).filter(|code| *code != 0);
        let status = status.map(|code| KeyValue::new(attribute::HTTP_RESPONSE_STATUS_CODE, code));
        attributes.extend(status);
        let (attributes, dropped) = limited(attributes, limits.max_attributes_per_span);
        let start_time = clocks.at(Moment::At(self.started));
        SpanData {
            span_context: mem::replace(&mut self.context, SpanContext::NONE),
            parent_span_id: self.parent,
            parent_span_is_remote: self.parent_is_remote,
            span_kind: match self.kind {
                Kind::Server => SpanKind::Server,
                Kind::Client => SpanKind::Client,
            },
            name,
            start_time,
            // A clock that was set in between must not end a span before its start.
            end_time: clocks.at(self.ended).max(start_time),
            attributes,
            dropped_attributes_count: rest.dropped_attributes.saturating_add(dropped),
            events: rest.events,
            links: rest.links,
            status: rest.status,
            instrumentation_scope: scope.clone(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{super::Attributes, tape::Written},
        *,
    };

    fn entry() -> Entry {
        Entry::new(SpanContext::NONE, Kind::Server, Instant::now())
    }

    fn span(mut entry: Entry) -> SpanData {
        let scope = InstrumentationScope::default();
        entry.span(Clocks::read(), &scope, &SpanLimits::default())
    }

    fn sorted(span: SpanData) -> Vec<(String, String)> {
        let mut attributes: Vec<_> = span
            .attributes
            .into_iter()
            .map(|attribute| (attribute.key.to_string(), attribute.value.to_string()))
            .collect();
        attributes.sort();
        attributes
    }

    fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(String, String)> {
        pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn what_was_copied_is_made_as_it_was() {
        let (v4, v6) = ("192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap());
        let mut entry = entry();
        entry.text(attribute::URL_PATH, Some("/users/7"));
        entry.text(attribute::URL_QUERY, None);
        entry.fixed(attribute::URL_SCHEME, Some("https"));
        entry.address(attribute::CLIENT_ADDRESS, Some(v4));
        entry.address(attribute::NETWORK_PEER_ADDRESS, Some(v6));
        entry.port(attribute::NETWORK_PEER_PORT, Some(4711));
        entry.owned(attribute::URL_FULL, Some("http://h/".to_owned()));
        let agent = "a\tb".parse().unwrap();
        entry.header(attribute::USER_AGENT_ORIGINAL, Some(&agent));
        let server = (attribute::SERVER_ADDRESS, attribute::SERVER_PORT);
        entry.host(server, b"[::1]:8443", None);
        assert!(entry.rest.is_none(), "all of it is on the tape");
        entry.attribute(KeyValue::new("own", true), &SpanLimits::default());
        assert_eq!(
            sorted(span(entry)),
            pairs([
                ("client.address", "192.0.2.7"),
                ("network.peer.address", "2001:db8::7"),
                ("network.peer.port", "4711"),
                ("own", "true"),
                ("server.address", "::1"),
                ("server.port", "8443"),
                ("url.full", "http://h/"),
                ("url.path", "/users/7"),
                ("url.scheme", "https"),
                ("user_agent.original", "a\tb"),
            ])
        );
    }

    #[test]
    fn a_host_is_read_alike_before_and_after_it_was_copied() {
        let long = "h".repeat(500);
        for text in [
            "a.example:81",
            "a.example",
            "a b",
            "a:b",
            "\u{e9}",
            "",
            &long,
        ] {
            for scheme in [None, Some("http"), Some("https"), Some("wss"), Some("ftp")] {
                let keys = (attribute::SERVER_ADDRESS, attribute::SERVER_PORT);
                let mut made = Vec::new();
                made.host(keys, text.as_bytes(), scheme);
                let (mut copied, mut full) = (entry(), entry());
                copied.host(keys, text.as_bytes(), scheme);
                assert!(full.tape.write(keys::NAME, Written::Text, &[b'x'; 220]));
                full.host(keys, text.as_bytes(), scheme);
                assert_eq!(span(copied).attributes, made, "{text:?} {scheme:?}");
                assert_eq!(span(full).attributes, made, "{text:?} {scheme:?}");
            }
        }
    }

    #[test]
    fn a_header_that_is_no_text_is_left_out() {
        for length in [1, 500] {
            let value = vec![0xfe; length];
            let value = http::HeaderValue::from_bytes(&value).unwrap();
            let mut entry = entry();
            entry.header(attribute::USER_AGENT_ORIGINAL, Some(&value));
            assert_eq!(span(entry).attributes, []);
        }
    }

    #[test]
    fn what_has_no_room_is_there_all_the_same() {
        let (long, longer) = ("x".repeat(300), "y".repeat(70_000));
        let mut entry = entry();
        for _ in 0..6 {
            entry.fixed(attribute::URL_SCHEME, Some("http"));
        }
        entry.text(attribute::HTTP_ROUTE, Some(&long));
        entry.text(attribute::URL_QUERY, Some("a=b"));
        entry.text(attribute::USER_AGENT_ORIGINAL, Some(&longer));
        entry.text("not.of.the.conventions", Some("z"));
        entry.int("nor.this", Some(1));
        let span = span(entry);
        assert_eq!(span.name, format!("HTTP {long}"));
        let mut expected = pairs([
            ("http.route", &long),
            ("nor.this", "1"),
            ("not.of.the.conventions", "z"),
            ("url.query", "a=b"),
            ("user_agent.original", &longer),
        ]);
        for _ in 0..6 {
            expected.push(("url.scheme".to_owned(), "http".to_owned()));
        }
        expected.sort();
        assert_eq!(sorted(span), expected);
    }

    #[test]
    fn nothing_is_left_of_an_exchange_in_the_next_one() {
        let mut entry = entry();
        entry.fixed(attribute::URL_SCHEME, Some("https"));
        entry.text(attribute::URL_PATH, Some("/secret"));
        entry.called("a call");
        entry.attribute(KeyValue::new("own", true), &SpanLimits::default());
        entry.status_code = 500;
        entry.parent = 7.into();
        entry.parent_is_remote = true;
        entry.ended = Moment::Told(SystemTime::UNIX_EPOCH);
        entry.renew(SpanContext::NONE, Kind::Client, Instant::now());
        entry.text(attribute::URL_PATH, Some("/"));
        let span = span(entry);
        assert_eq!(span.attributes, [KeyValue::new("url.path", "/")]);
        assert_eq!(
            (span.name.as_ref(), span.span_kind),
            ("HTTP", SpanKind::Client)
        );
        assert_eq!(span.parent_span_id, opentelemetry::SpanId::INVALID);
        assert!(!span.parent_span_is_remote);
        assert_eq!(span.start_time, span.end_time);
    }

    #[test]
    fn texts_of_every_length_around_the_end_are_whole() {
        for length in 0..=260 {
            let text = "x".repeat(length);
            let mut entry = entry();
            entry.text(attribute::URL_PATH, Some(&text));
            entry.text(attribute::URL_QUERY, Some(&text));
            let expected = pairs([("url.path", &text), ("url.query", &text)]);
            assert_eq!(sorted(span(entry)), expected);
        }
    }

    #[test]
    fn times_of_the_one_clock_are_told_by_the_other() {
        let clocks = Clocks::read();
        for millis in [0, 1, 5_000] {
            let time = Duration::from_millis(millis);
            let later = clocks.at(Moment::At(clocks.instant + time));
            assert_eq!(later.duration_since(clocks.system).unwrap(), time);
        }
        let start = Instant::now();
        let (before, clocks, after) = (SystemTime::now(), Clocks::read(), SystemTime::now());
        let told = clocks.at(Moment::At(start));
        assert!(told <= after, "{told:?} is after {after:?}");
        let early = before.duration_since(told).unwrap_or_default();
        assert!(early < Duration::from_secs(1), "{told:?}, {before:?}");
        assert_eq!(clocks.at(Moment::Told(before)), before);
    }
}
