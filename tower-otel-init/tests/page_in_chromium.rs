//! The page in Chromium, with hostile texts in every field.
#![cfg(feature = "page")]
#![allow(clippy::unwrap_used)]

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Link, Span, SpanKind, Status, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use tower_otel_init::Telemetry;

/// A text that closes tags, quotes and lines. If the page interprets it as HTML, it sets a variable.
const HOSTILE: &str = "</script></td>\"'><img src=x onerror=\"window.hacked=1\"><script>window.hacked=1</script>{{1}}";

#[test]
#[ignore = "needs chromium and Node: .ci/run page_in_chromium"]
fn hostile_texts_are_inert_in_every_field() {
    let builder = Telemetry::builder(HOSTILE).page((Ipv4Addr::LOCALHOST, 0));
    let telemetry = builder.install().unwrap();
    let tracer = telemetry.tracer_provider().unwrap().tracer(HOSTILE);
    let builder = tracer.span_builder("GET").with_kind(SpanKind::Client);
    let builder = builder.with_attributes([
        KeyValue::new("url.full", format!("http://{HOSTILE}")),
        KeyValue::new("error.type", "panic"),
    ]);
    let mut client = tracer.build_with_context(builder, &Context::new());
    client.set_status(Status::error(""));
    client.end();
    let hostile = || vec![KeyValue::new(HOSTILE, HOSTILE)];
    let linked = tracer.start_with_context("linked", &Context::new());
    let linked = Link::new(linked.span_context().clone(), hostile(), 0);
    let builder = tracer.span_builder(HOSTILE).with_kind(SpanKind::Server);
    let builder = builder.with_links(vec![linked]).with_attributes([
        KeyValue::new("http.route", HOSTILE),
        KeyValue::new("http.response.status_code", HOSTILE),
        KeyValue::new("error.type", HOSTILE),
        KeyValue::new(HOSTILE, HOSTILE),
    ]);
    let mut span = tracer.build_with_context(builder, &Context::new());
    span.add_event_with_timestamp(HOSTILE, SystemTime::now(), hostile());
    span.set_status(Status::error(HOSTILE));
    span.end();
    let labels = [("method", HOSTILE), ("path", HOSTILE), ("status", HOSTILE)];
    metrics::counter!("http_requests_total", &labels).increment(1);
    telemetry.flush(Duration::from_secs(20)).unwrap();

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/page/hostile.mjs");
    let page = format!("http://{}", telemetry.page().unwrap());
    let status = Command::new("node")
        .args([script, &page, HOSTILE])
        .status()
        .unwrap();
    assert!(status.success());
}
