//! Spans and metrics of a request through two services.

use std::time::Duration;

use http::StatusCode;
use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus},
};
use suite_tests::{
    backend::{Backend, Source},
    otlp::{Receiver, attribute},
    telemetry::{LocalTelemetry, with_timeout},
};
use tower::ServiceExt;

use crate::services::{
    Process, ProcessBackend, ReceivedHeaders, SLOW, TOLERANCE, behind_app, client, front_app,
    request, source,
};

/// Flushes without blocking the runtime that exports.
async fn flush(source: &Source) {
    let Source { provider, recorder } = source.clone();
    let flushed = tokio::task::spawn_blocking(move || {
        provider.force_flush()?;
        recorder.flush(Duration::from_secs(20))
    });
    with_timeout("the spans are sent", flushed)
        .await
        .unwrap()
        .unwrap();
}

fn string(span: &Span, key: &str) -> Option<String> {
    match attribute(span, key)? {
        Value::StringValue(value) => Some(value),
        other => panic!("{key} is not a string: {other:?}"),
    }
}

fn integer(span: &Span, key: &str) -> Option<i64> {
    match attribute(span, key)? {
        Value::IntValue(value) => Some(value),
        other => panic!("{key} is not an integer: {other:?}"),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sends a request through both services and checks spans and metrics of all three processes.
async fn one_trace(backend: Backend, id: &str, status: StatusCode) {
    let collector = Receiver::start().await;
    let received_headers = ReceivedHeaders::default();
    let behind = {
        let received_headers = received_headers.clone();
        let app =
            move |process_backend: &ProcessBackend| behind_app(process_backend, received_headers);
        Process::start("behind", &collector, backend, app).await
    };
    let to = behind.address;
    let app = move |process_backend: &ProcessBackend| front_app(process_backend, to);
    let front = Process::start("front", &collector, backend, app).await;
    let source = source("caller", &collector.endpoint());
    let caller = LocalTelemetry::new(&source);

    let request = request(front.address, &format!("/a/{id}"));
    let client = client(&ProcessBackend(backend, source.clone()));
    let response = client.oneshot(request).await.unwrap();
    assert_eq!(response.status(), status);
    assert_eq!(response.text().await.unwrap(), "ab");
    for source in [&source, &front.source, &behind.source] {
        flush(source).await;
    }

    let spans = collector.spans(4).await;
    assert_eq!(spans.len(), 4, "{spans:#?}");
    let find = |service: &str, kind: SpanKind| -> &Span {
        let mut found = spans
            .iter()
            .filter(|(name, span)| name == service && span.kind == kind as i32);
        let (_, span) = found.next().unwrap();
        assert!(found.next().is_none(), "{spans:#?}");
        span
    };
    let root = find("caller", SpanKind::Client);
    let front_server = find("front", SpanKind::Server);
    let front_client = find("front", SpanKind::Client);
    let behind_server = find("behind", SpanKind::Server);

    let code = i64::from(status.as_u16());
    let failed = status.is_server_error();
    for (span, parent, name, route) in [
        (root, None, "GET", None),
        (front_server, Some(root), "GET /a/{id}", Some("/a/{id}")),
        (front_client, Some(front_server), "GET", None),
        (
            behind_server,
            Some(front_client),
            "GET /b/{id}",
            Some("/b/{id}"),
        ),
    ] {
        assert_eq!(span.name, name);
        assert_eq!(span.trace_id, root.trace_id, "{name}");
        let parent = parent.map_or_else(Vec::new, |parent| parent.span_id.clone());
        assert_eq!(span.parent_span_id, parent, "{name}");
        assert_eq!(string(span, "http.route").as_deref(), route, "{name}");
        assert_eq!(string(span, "http.request.method").unwrap(), "GET");
        assert_eq!(integer(span, "http.response.status_code"), Some(code));
        let error = failed.then(|| code.to_string());
        assert_eq!(string(span, "error.type"), error, "{name}");
        let expected = if failed {
            SpanStatus::Error
        } else {
            SpanStatus::Unset
        };
        let status = span.status.clone().unwrap_or_default();
        assert_eq!((status.code(), status.message.as_str()), (expected, ""));
    }
    for (span, server) in [(root, front.address), (front_client, behind.address)] {
        assert_eq!(string(span, "server.address").unwrap(), "127.0.0.1");
        assert_eq!(integer(span, "server.port"), Some(server.port().into()));
        assert_eq!(
            integer(span, "network.peer.port"),
            Some(server.port().into())
        );
    }
    assert_eq!(
        string(root, "url.full").unwrap(),
        format!("http://{}/a/{id}", front.address)
    );
    assert_eq!(
        string(front_server, "url.path").unwrap(),
        format!("/a/{id}")
    );
    assert_eq!(
        string(behind_server, "url.path").unwrap(),
        format!("/b/{id}")
    );

    let received_headers = received_headers.lock().unwrap();
    let [received] = received_headers.as_slice() else {
        panic!("one request, not {received_headers:?}");
    };
    let lines: Vec<_> = received.get_all("traceparent").iter().collect();
    let (trace, parent) = (hex(&root.trace_id), hex(&front_client.span_id));
    assert_eq!(lines, [format!("00-{trace}-{parent}-01").as_str()]);

    let (a, b) = (("path", "/a/{id}"), ("path", "/b/{id}"));
    let (to_a, to_b) = (front.address.to_string(), behind.address.to_string());
    let (to_a, to_b) = (("host", to_a.as_str()), ("host", to_b.as_str()));
    for (span, metrics, prefix, place) in [
        (root, caller.metrics(), "http_client", to_a),
        (front_server, &front.metrics, "http", a),
        (front_client, &front.metrics, "http_client", to_b),
        (behind_server, &behind.metrics, "http", b),
    ] {
        let text = metrics.text();
        let total = format!("{prefix}_requests_total");
        let labels = [("method", "GET"), place, ("status", status.as_str())];
        assert_eq!(metrics.sum(&total, &labels), 1.0, "{text}");
        assert_eq!(metrics.sum(&total, &[]), 1.0, "{text}");
        let count = format!("{prefix}_request_duration_seconds_count");
        assert_eq!(metrics.sum(&count, &[place]), 1.0, "{text}");
        let in_flight = format!("{prefix}_requests_in_flight");
        assert_eq!(metrics.sum(&in_flight, &[]), 0.0, "{text}");

        let nanos = span.end_time_unix_nano - span.start_time_unix_nano;
        let duration = Duration::from_nanos(nanos).as_secs_f64();
        let sum = format!("{prefix}_request_duration_seconds_sum");
        let counted = metrics.sum(&sum, &[place]);
        assert!(duration > SLOW.as_secs_f64() - TOLERANCE, "{duration} s");
        assert!(
            (duration - counted).abs() < TOLERANCE,
            "{}: a span of {duration} s, recorded as {counted} s",
            span.name
        );
    }
}

#[tokio::test]
async fn a_request_through_two_services_is_one_trace_and_counted_with_its_duration() {
    for backend in Backend::ALL {
        one_trace(backend, "7", StatusCode::OK).await;
    }
}

#[tokio::test]
async fn a_failure_in_the_last_service_is_recorded_at_every_hop() {
    for backend in Backend::ALL {
        one_trace(backend, "broken", StatusCode::INTERNAL_SERVER_ERROR).await;
    }
}
