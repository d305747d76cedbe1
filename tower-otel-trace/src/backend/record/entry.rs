//! What one exchange leaves behind.

use std::{
    borrow::Cow,
    net::IpAddr,
    time::{Instant, SystemTime},
};

use http::HeaderValue;
use opentelemetry::{
    KeyValue, SpanId,
    trace::{Event, Link, SpanContext, Status},
};
use opentelemetry_sdk::trace::{SpanEvents, SpanLimits, SpanLinks};
use tower_otel_core::Kind;
use tower_otel_semconv::{HostPort, default_port};

use super::{
    super::Attributes,
    keys,
    tape::{Tape, Written},
};

/// A span that is not made yet. It is used again when it is made, so what few spans have is in a box
/// of its own.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) context: SpanContext,
    pub(super) parent: SpanId,
    pub(super) parent_is_remote: bool,
    pub(super) kind: Kind,
    /// The status of the response, or 0.
    pub(super) status_code: u16,
    pub(super) started: Instant,
    pub(super) ended: Moment,
    pub(super) tape: Tape,
    pub(super) rest: Option<Box<Rest>>,
}

/// A time, as it was told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// By the clock that all signals share.
    At(Instant),
    /// By whoever ended the span before its exchange.
    Told(SystemTime),
}

/// What few spans have.
#[derive(Debug, Default)]
pub(super) struct Rest {
    pub(super) name: Option<Cow<'static, str>>,
    /// Attributes that had no room on the tape, and those of others after them.
    pub(super) attributes: Vec<KeyValue>,
    /// How many of them are known from the request. The span is named after those alone.
    pub(super) own: usize,
    pub(super) dropped_attributes: u32,
    pub(super) status: Status,
    pub(super) events: SpanEvents,
    pub(super) links: SpanLinks,
}

impl Entry {
    /// A span that begins a trace, and of which nothing else is known.
    #[inline]
    pub(super) const fn new(context: SpanContext, kind: Kind, at: Instant) -> Self {
        Self {
            context,
            parent: SpanId::INVALID,
            parent_is_remote: false,
            kind,
            status_code: 0,
            started: at,
            ended: Moment::At(at),
            tape: Tape::new(),
            rest: None,
        }
    }

    /// The same, in the place of one that was made into a span. Its bytes need not be wiped.
    #[inline]
    pub(super) fn renew(&mut self, context: SpanContext, kind: Kind, at: Instant) {
        self.context = context;
        self.parent = SpanId::INVALID;
        self.parent_is_remote = false;
        self.kind = kind;
        self.status_code = 0;
        self.started = at;
        self.ended = Moment::At(at);
        self.tape.rewind();
        self.rest = None;
    }

    pub(super) fn rest(&mut self) -> &mut Rest {
        self.rest.get_or_insert_default()
    }

    /// An attribute that somebody else has made.
    pub(super) fn attribute(&mut self, attribute: KeyValue, limits: &SpanLimits) {
        let rest = self.rest();
        if rest.attributes.len() < limit(limits.max_attributes_per_span) {
            rest.attributes.push(attribute);
        } else {
            rest.dropped_attributes += 1;
        }
    }

    pub(super) fn event(
        &mut self,
        name: Cow<'static, str>,
        at: SystemTime,
        attributes: Vec<KeyValue>,
        limits: &SpanLimits,
    ) {
        let events = &mut self.rest().events;
        if events.events.len() < limit(limits.max_events_per_span) {
            let (attributes, dropped) = limited(attributes, limits.max_attributes_per_event);
            events
                .events
                .push(Event::new(name, at, attributes, dropped));
        } else {
            events.dropped_count += 1;
        }
    }

    pub(super) fn link(&mut self, to: SpanContext, attributes: Vec<KeyValue>, limits: &SpanLimits) {
        let links = &mut self.rest().links;
        if links.links.len() < limit(limits.max_links_per_span) {
            let (attributes, dropped) = limited(attributes, limits.max_attributes_per_link);
            links.links.push(Link::new(to, attributes, dropped));
        } else {
            links.dropped_count += 1;
        }
    }

    /// `Ok` is final, and an error is not taken back.
    pub(super) fn status(&mut self, status: Status) {
        let rest = self.rest();
        if status > rest.status {
            rest.status = status;
        }
    }

    /// The name of a gRPC call, which is not made of attributes.
    pub(super) fn called(&mut self, name: &str) {
        if !self.tape.write(keys::NAME, Written::Text, name.as_bytes()) {
            self.rest().name = Some(Cow::Owned(name.to_owned()));
        }
    }

    #[inline(always)]
    fn write(&mut self, key: &'static str, what: Written, value: &[u8]) -> bool {
        keys::code(key).is_some_and(|code| self.tape.write(code, what, value))
    }

    #[cold]
    fn made(&mut self, attribute: KeyValue) {
        let rest = self.rest();
        rest.attributes.push(attribute);
        rest.own = rest.attributes.len();
    }
}

/// What a request says, before anybody else has a say.
impl Attributes for Entry {
    #[inline(always)]
    fn text(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            if !self.write(key, Written::Text, value.as_bytes()) {
                self.made(KeyValue::new(key, value.to_owned()));
            }
        }
    }

    #[inline(always)]
    fn owned(&mut self, key: &'static str, value: Option<String>) {
        if let Some(value) = value {
            if !self.write(key, Written::Text, value.as_bytes()) {
                self.made(KeyValue::new(key, value));
            }
        }
    }

    #[inline(always)]
    fn fixed(&mut self, key: &'static str, value: Option<&'static str>) {
        if let Some(value) = value {
            if !keys::code(key).is_some_and(|code| self.tape.fix(code, value)) {
                self.text(key, Some(value));
            }
        }
    }

    #[inline(always)]
    fn int(&mut self, key: &'static str, value: Option<i64>) {
        if let Some(value) = value {
            if !self.write(key, Written::Int, &value.to_le_bytes()) {
                self.made(KeyValue::new(key, value));
            }
        }
    }

    #[inline(always)]
    fn address(&mut self, key: &'static str, value: Option<IpAddr>) {
        let written = match value {
            None => return,
            Some(IpAddr::V4(address)) => self.write(key, Written::Address, &address.octets()),
            Some(IpAddr::V6(address)) => self.write(key, Written::Address, &address.octets()),
        };
        if let Some(address) = value.filter(|_| !written) {
            self.made(KeyValue::new(key, address.to_string()));
        }
    }

    /// Whether it is text is found out later.
    #[inline(always)]
    fn header(&mut self, key: &'static str, value: Option<&HeaderValue>) {
        if let Some(value) = value {
            if !self.write(key, Written::Header, value.as_bytes()) {
                self.text(key, value.to_str().ok());
            }
        }
    }

    /// It is taken apart later.
    #[inline(always)]
    fn host(&mut self, keys: (&'static str, &'static str), text: &[u8], scheme: Option<&str>) {
        let what = match scheme.and_then(default_port) {
            None => Written::Host,
            Some(80) => Written::HttpHost,
            Some(_) => Written::HttpsHost,
        };
        if !self.write(keys.0, what, text) {
            let server = HostPort::parse_bytes(text).map(|server| server.or_default_port(scheme));
            if let Some(HostPort { host, port }) = server {
                self.text(keys.0, Some(host));
                self.port(keys.1, port);
            }
        }
    }
}

pub(super) fn limit(most: u32) -> usize {
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// As many attributes as are allowed, and how many were too many.
pub(super) fn limited(mut attributes: Vec<KeyValue>, most: u32) -> (Vec<KeyValue>, u32) {
    let dropped = attributes.len().saturating_sub(limit(most));
    attributes.truncate(limit(most));
    (attributes, u32::try_from(dropped).unwrap_or(u32::MAX))
}
