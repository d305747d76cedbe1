//! The fields of each span that the list of traces needs, read from its OTLP message without decoding the other fields.
//!
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/trace/v1/trace.proto>

use opentelemetry::trace::TraceId;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tower_otel_semconv::attribute::HTTP_RESPONSE_STATUS_CODE;

use crate::page::protobuf_reader::{Field, Fields};

/// The flags of a span: whether it states if its parent is remote, and whether its parent is remote.
const HAS_IS_REMOTE: u64 = 0x100;
const IS_REMOTE: u64 = 0x200;

/// The fields of a span that the list of traces needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanHead {
    pub(crate) trace: TraceId,
    pub(crate) rank: Rank,
    /// The start in nanoseconds since the Unix epoch.
    pub(crate) start: u64,
    /// The duration in nanoseconds.
    pub(crate) duration: u64,
    /// Whether the status is an error, or the HTTP status code is a server error.
    pub(crate) is_failed: bool,
    /// The first digit of the HTTP status code, or 0.
    pub(crate) status_class: u8,
}

/// How close a span is to the root of its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    Root,
    /// The parent is in another process.
    LocalRoot,
    Inner,
}

impl SpanHead {
    /// Returns `None` if the message is malformed or has no valid ids.
    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        let (mut trace, mut span, mut parent) = ([0; 16], [0; 8], [0; 8]);
        let (mut kind, mut start, mut end, mut flags) = (0, 0, 0, 0);
        let (mut is_error, mut status_class) = (false, 0);
        let mut fields = Fields(message);
        while let Some(field) = fields.next() {
            match field.ok()? {
                (1, Field::Bytes(id)) => trace = id.try_into().ok()?,
                (2, Field::Bytes(id)) => span = id.try_into().ok()?,
                // An id of another length means that the span has no parent.
                (4, Field::Bytes(id)) => parent = id.try_into().unwrap_or_default(),
                (6, Field::Number(number)) => kind = number,
                (7, Field::Number(nanos)) => start = nanos,
                (8, Field::Number(nanos)) => end = nanos,
                (9, Field::Bytes(attribute)) => {
                    status_class = status_class.max(class_of(attribute));
                    // Most fields are attributes.
                    while let Some(attribute) = fields.next_short(9) {
                        status_class = status_class.max(class_of(attribute));
                    }
                }
                (15, Field::Bytes(status)) => is_error |= is_error_status(status),
                (16, Field::Number(number)) => flags = number,
                _ => {}
            }
        }
        if trace == [0; 16] || span == [0; 8] {
            return None;
        }
        let is_server = kind == number(SpanKind::Server as i32);
        Some(Self {
            trace: TraceId::from_bytes(trace),
            rank: match (parent, is_remote(kind, flags)) {
                ([0, 0, 0, 0, 0, 0, 0, 0], _) => Rank::Root,
                (_, true) => Rank::LocalRoot,
                (_, false) => Rank::Inner,
            },
            start,
            duration: end.saturating_sub(start),
            is_failed: is_error || is_server && status_class == 5,
            status_class,
        })
    }

    /// Returns whether this span is closer to the root than another one.
    pub(crate) fn precedes(&self, other: &Self) -> bool {
        (self.rank, self.start) < (other.rank, other.start)
    }
}

/// Returns whether the parent of a span is in another process.
pub(crate) fn has_remote_parent(span: &Span) -> bool {
    let has_parent = span.parent_span_id.len() == 8 && span.parent_span_id != [0; 8];
    has_parent && is_remote(number(span.kind), span.flags.into())
}

/// Returns whether the parent is remote. Without the flag, the parents of server and consumer spans count as remote.
fn is_remote(kind: u64, flags: u64) -> bool {
    match flags & HAS_IS_REMOTE {
        0 => [SpanKind::Server, SpanKind::Consumer]
            .iter()
            .any(|entry| kind == number(*entry as i32)),
        _ => flags & IS_REMOTE != 0,
    }
}

/// Returns a number as protobuf encodes it.
fn number(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}

/// Returns whether a `Status` has the code of an error.
fn is_error_status(status: &[u8]) -> bool {
    let error = number(StatusCode::Error as i32);
    Fields(status).any(|field| field == Ok((3, Field::Number(error))))
}

/// Returns the first digit if a `KeyValue` is an HTTP status code, as a number or a text. Returns 0 for other attributes.
#[inline]
fn class_of(attribute: &[u8]) -> u8 {
    // The tag and the length of the key.
    const START: [u8; 2] = [0x0a, HTTP_RESPONSE_STATUS_CODE.len() as u8];
    let key = attribute.strip_prefix(&START);
    let rest = key.and_then(|key| key.strip_prefix(HTTP_RESPONSE_STATUS_CODE.as_bytes()));
    let Some(Some(Ok((2, Field::Bytes(value))))) = rest.map(|rest| Fields(rest).next()) else {
        return 0;
    };
    match Fields(value).next() {
        Some(Ok((1, Field::Bytes([digit @ b'1'..=b'5', ..])))) => digit - b'0',
        Some(Ok((3, Field::Number(code @ 100..600)))) => (code / 100) as u8,
        _ => 0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::any_value::Value::IntValue as int;
    use opentelemetry_proto::tonic::trace::v1::Status;
    use prost::Message;

    use super::*;
    use crate::page::test_span::{attribute, span, text};

    fn head(change: impl FnOnce(&mut Span)) -> Option<SpanHead> {
        let mut span = span(0xab, "a");
        change(&mut span);
        SpanHead::read(&span.encode_to_vec())
    }

    #[test]
    fn ids_and_times_are_those_of_the_span() {
        let head = head(|_| {}).unwrap();
        assert_eq!(head.trace, TraceId::from(0xab));
        assert_eq!(
            (head.start, head.duration),
            (1_700_000_000_000_000_000, 1_000_000)
        );
        assert_eq!((head.rank, head.is_failed), (Rank::Root, false));
    }

    #[test]
    fn a_span_without_ids_has_no_head() {
        assert_eq!(head(|span| span.trace_id = vec![0; 16]), None);
        assert_eq!(head(|span| span.span_id = vec![1; 7]), None);
        assert_eq!(SpanHead::read(&[]), None);
        assert_eq!(SpanHead::read(&[0xff; 20]), None);
    }

    #[test]
    fn a_parent_is_remote_if_the_span_says_so_or_handles_a_request() {
        let rank = |kind: SpanKind, flags| {
            let head = head(|span| {
                span.parent_span_id = vec![3; 8];
                (span.kind, span.flags) = (kind as i32, flags);
            });
            head.unwrap().rank
        };
        for (kind, flags, expected) in [
            (SpanKind::Server, 1, Rank::LocalRoot),
            (SpanKind::Consumer, 1, Rank::LocalRoot),
            (SpanKind::Client, 1, Rank::Inner),
            (SpanKind::Server, 0x101, Rank::Inner),
            (SpanKind::Internal, 0x301, Rank::LocalRoot),
        ] {
            assert_eq!(rank(kind, flags), expected, "{kind:?} {flags}");
        }
        let short = head(|span| span.parent_span_id = vec![3; 7]).unwrap();
        assert_eq!(short.rank, Rank::Root);
    }

    #[test]
    fn a_span_with_an_error_and_a_server_error_have_failed() {
        let failed = |change: fn(&mut Span)| head(change).unwrap().is_failed;
        assert!(failed(|span| {
            let (message, code) = (String::new(), 2);
            span.status = Some(Status { message, code });
        }));
        assert!(failed(|span| span
            .attributes
            .push(text(HTTP_RESPONSE_STATUS_CODE, "503"))));
        assert!(!failed(|span| span
            .attributes
            .push(text(HTTP_RESPONSE_STATUS_CODE, "404"))));
        assert!(!failed(|span| {
            span.kind = 3;
            span.attributes.push(text(HTTP_RESPONSE_STATUS_CODE, "503"));
        }));
    }

    #[test]
    fn the_class_of_a_status_is_that_of_any_span() {
        let class = |value: Value| {
            let change = |span: &mut Span| {
                span.kind = 3;
                span.attributes.push(attribute("other", int(200)));
                span.attributes
                    .push(attribute(HTTP_RESPONSE_STATUS_CODE, value));
                span.attributes.push(text("long", &"x".repeat(200)));
            };
            head(change).unwrap().status_class
        };
        for (value, expected) in [
            (int(503), 5),
            (int(204), 2),
            (Value::StringValue("404".to_owned()), 4),
            (int(99), 0),
            (int(600), 0),
            (int(-500), 0),
            (Value::StringValue("none".to_owned()), 0),
            (Value::StringValue(String::new()), 0),
        ] {
            assert_eq!(class(value.clone()), expected, "{value:?}");
        }
        assert_eq!(head(|_| {}).unwrap().status_class, 0);
    }

    #[test]
    fn times_of_a_forged_span_do_not_overflow() {
        let times = |span: &mut Span| {
            (span.start_time_unix_nano, span.end_time_unix_nano) = (u64::MAX, 0);
        };
        assert_eq!(head(times).unwrap().duration, 0);
    }
}
