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
        // Of another process.
        parent_span_is_remote: parent == 9,
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
        "Trace of GET /a/{b}  3 spans, 100 ms  00000000000000000000000000000abc\n\
         GET /a/{b}           ████████████  100 ms  502 /a/7\n\
         ├─ price                ███       25.0 ms      sku=lamp\n\
         └─ GET                     ██████ 50.0 ms  500 to stock:80\n"
    );
}

#[test]
fn a_client_span_shows_its_target_and_an_error_that_does_not_fit_has_a_line_of_its_own() {
    let mut failed = with_attributes(
        span(2, 1, "GET", SpanKind::Client, [0, 100]),
        [
            KeyValue::new("url.full", "http://stock:8080/items/a-chair-with-four-legs"),
            KeyValue::new("server.address", "stock"),
            KeyValue::new("error.type", "connection_refused"),
        ],
    );
    failed.status = Status::error("nobody\x1b[2J listens");
    let called = with_attributes(
        span(3, 1, "GET", SpanKind::Client, [0, 100]),
        [
            KeyValue::new("url.full", "https://stock/items?sig=REDACTED"),
            KeyValue::new("http.request.resend_count", 2),
            KeyValue::new("http.response.status_code", 200),
        ],
    );
    let root = span(1, 0, "job", SpanKind::Internal, [0, 100]);
    assert_eq!(
        render(&[root, failed, called], PLAIN),
        "Trace of job  3 spans, 100 ms  00000000000000000000000000000abc\n\
         job                  ████████████  100 ms\n\
         ├─ GET               ████████████  100 ms  ERR to stock:8080/items/a-chair-with…\n\
         │     error.type=connection_refused nobody·[2J listens\n\
         └─ GET               ████████████  100 ms  200 retry 2 to stock/items?sig=REDAC…\n"
    );
}

#[test]
fn grpc_calls_show_their_status() {
    let call = |id, status: &'static str, failed| {
        let name = "shop.Stock/Get";
        let mut call = with_attributes(
            span(id, 0, name, SpanKind::Client, [0, 100]),
            [
                KeyValue::new("rpc.status_code", status),
                KeyValue::new("server.address", "stock"),
                KeyValue::new("server.port", 80),
            ],
        );
        if failed {
            call.status = Status::error("");
        }
        call
    };
    let calls = [
        call(1, "OK", false),
        call(2, "NOT_FOUND", false),
        call(3, "DEADLINE_EXCEEDED", true),
    ];
    assert_eq!(
        render(&calls, PLAIN),
        "Trace of shop.Stock/Get  3 spans, 100 ms  00000000000000000000000000000abc\n\
         shop.Stock/Get       ████████████  100 ms  OK  to stock:80\n\
         shop.Stock/Get       ████████████  100 ms  NOT_FOUND to stock:80\n\
         shop.Stock/Get       ████████████  100 ms  DEADLINE_EXCEEDED to stock:80\n"
    );
    let colored = render(&calls, Style { colors: true });
    for status in [
        "\x1b[32mOK ",
        "\x1b[33mNOT_FOUND",
        "\x1b[31mDEADLINE_EXCEEDED",
    ] {
        assert!(colored.contains(status), "{colored}");
    }
}

#[test]
fn the_color_of_a_status_code_is_that_of_its_class() {
    for (code, color) in [(200, 32), (304, 32), (404, 33), (503, 31)] {
        let one = with_attributes(
            span(1, 0, "a", SpanKind::Server, [0, 1]),
            [KeyValue::new("http.response.status_code", code)],
        );
        let status = format!("\x1b[{color}m{code}\x1b[0m");
        let text = render(std::slice::from_ref(&one), Style { colors: true });
        assert!(text.contains(&status), "{text}");
        assert!(!render(&[one], PLAIN).contains('\x1b'));
    }
}

#[test]
fn no_line_has_more_than_80_columns() {
    let long = "/a-long-path-with-ümlauts".repeat(20);
    let mut spans: Vec<_> = (1..40)
        .map(|id| {
            let kind = match id % 3 {
                0 => SpanKind::Client,
                1 => SpanKind::Server,
                _ => SpanKind::Internal,
            };
            let mut span = with_attributes(
                span(
                    id,
                    id - 1,
                    "a name that is longer than its column is wide",
                    kind,
                    [0, 100],
                ),
                [
                    KeyValue::new("url.full", format!("http://stock{long}")),
                    KeyValue::new("url.path", long.clone()),
                    KeyValue::new("http.response.status_code", long.clone()),
                    KeyValue::new("rpc.status_code", "DEADLINE_EXCEEDED"),
                    KeyValue::new("error.type", long.clone()),
                ],
            );
            span.status = Status::error(long.clone());
            span
        })
        .collect();
    let mut calls: Vec<_> = spans.iter().take(5).cloned().collect();
    for call in &mut calls {
        let key = |attribute: &KeyValue| attribute.key.as_str().to_owned();
        call.attributes
            .retain(|attribute| key(attribute) != "http.response.status_code");
    }
    spans.extend(calls);
    let text = render(&spans, PLAIN);
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(text.contains("└─ a name that i…"), "{text}");
}

#[test]
fn the_title_says_why_a_trace_is_kept_and_a_query_names_its_database() {
    let kept = |span| with_attributes(span, [KeyValue::new("sampling.keep.reason", "error")]);
    let query = with_attributes(
        span(2, 1, "SELECT items", SpanKind::Client, [0, 100]),
        [KeyValue::new("db.system.name", "sqlite")],
    );
    let job = span(1, 0, "job", SpanKind::Internal, [0, 100]);
    assert_eq!(
        render(&[kept(job), kept(query)], PLAIN),
        "Trace of job  2 spans, 100 ms, kept: error  00000000000000000000000000000abc\n\
         job                  ████████████  100 ms\n\
         └─ SELECT items      ████████████  100 ms      to sqlite\n"
    );
}

#[test]
fn the_title_is_the_name_of_the_root_with_the_trace_id_below_if_it_does_not_fit() {
    let name = "GET /customers/{customer}/orders/{order}";
    let text = render(&[span(1, 9, name, SpanKind::Server, [0, 100])], PLAIN);
    let title: Vec<_> = text.lines().take(2).collect();
    assert_eq!(
        title,
        [
            "Trace of GET /customers/{customer}/order…  1 span, 100 ms",
            "00000000000000000000000000000abc"
        ]
    );
}

#[test]
fn spans_whose_parent_is_printed_already_are_a_part_of_a_trace() {
    let text = render(&[span(2, 1, "ship", SpanKind::Internal, [0, 1])], PLAIN);
    let title = "Part of a trace  1 span, 1.00 ms  00000000000000000000000000000abc\n";
    assert!(text.starts_with(title), "{text}");
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
        (SpanKind::Producer, "1.00 ms      to jobs\n"),
        (SpanKind::Consumer, "1.00 ms      from jobs\n"),
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
