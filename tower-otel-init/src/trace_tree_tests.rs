use opentelemetry::trace::{SpanContext, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, TraceFlags, TraceId};
use opentelemetry_sdk::trace::{SpanEvents, SpanLinks};

use super::*;

fn span(
    id: u64,
    parent: u64,
    name: &'static str,
    kind: SpanKind,
    [start, end]: [u64; 2],
) -> SpanData {
    let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    SpanData {
        span_context: SpanContext::new(
            TraceId::from(0xabc),
            SpanId::from(id),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: SpanId::from(parent),
        parent_span_is_remote: false,
        span_kind: kind,
        name: name.into(),
        start_time: at(start),
        end_time: at(end),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}

fn with_attributes(mut span: SpanData, attributes: impl IntoIterator<Item = KeyValue>) -> SpanData {
    span.attributes.extend(attributes);
    span
}

const PLAIN: Style = Style { colors: false };

#[test]
fn spans_are_below_their_parents_in_the_order_of_their_start_times() {
    let mut failed = with_attributes(
        span(3, 1, "GET", SpanKind::Client, [50, 100]),
        [
            KeyValue::new("server.address", "stock"),
            KeyValue::new("server.port", 80),
            KeyValue::new("http.response.status_code", 500),
            KeyValue::new("error.type", "500"),
        ],
    );
    failed.status = Status::error("");
    let spans = [
        failed,
        with_attributes(
            span(2, 1, "price", SpanKind::Internal, [25, 50]),
            [
                KeyValue::new("sku", "lamp"),
                KeyValue::new("code.file.path", "x.rs"),
            ],
        ),
        with_attributes(
            span(1, 9, "GET /a/{b}", SpanKind::Server, [0, 100]),
            [
                KeyValue::new("url.path", "/a/7"),
                KeyValue::new("http.response.status_code", 502),
            ],
        ),
    ];
    assert_eq!(
        render(&spans, PLAIN),
        "Trace 00000000000000000000000000000abc  3 spans, 100 ms\n\
         GET /a/{b}                               ████████████████████████   100 ms  server 502 /a/7\n\
         ├─ price                                       ██████              25.0 ms             sku=lamp\n\
         └─ GET                                               ████████████  50.0 ms  client 500 to stock:80 error.type=500\n"
    );
}

#[test]
fn deep_cyclic_and_unprintable_traces_are_rendered_safely() {
    let mut deep: Vec<_> = (1..200)
        .map(|id| span(id, id - 1, "\x1b[2J", SpanKind::Internal, [100, 0]))
        .collect();
    deep.push(span(500, 500, "its own parent", SpanKind::Internal, [0, 0]));
    let text = render(&deep, PLAIN);
    assert!(!text.contains('\x1b'), "{text}");
    assert!(text.lines().count() < 40, "{text}");
    assert_eq!(render(&[], PLAIN), "");
}

#[test]
fn colors_are_used_only_on_request() {
    let one = [span(1, 0, "a", SpanKind::Internal, [0, 1])];
    assert!(render(&one, Style { colors: true }).contains("\x1b[32m█"));
    assert!(!render(&one, PLAIN).contains('\x1b'));
}

#[test]
fn messaging_spans_show_only_their_queue() {
    let message = [
        KeyValue::new("messaging.system.name", "table"),
        KeyValue::new("messaging.destination.name", "jobs"),
        KeyValue::new("messaging.message.id", "7"),
    ];
    for (kind, end) in [
        (SpanKind::Producer, "sends      to jobs\n"),
        (SpanKind::Consumer, "takes      from jobs\n"),
    ] {
        let text = render(
            &[with_attributes(
                span(1, 0, "jobs", kind, [0, 1]),
                message.clone(),
            )],
            PLAIN,
        );
        assert!(text.ends_with(end), "{text}");
    }
}
