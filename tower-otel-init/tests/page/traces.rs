//! Spans of this process and of others are on the page.

use std::{net::TcpListener, time::Duration};

use opentelemetry::{
    Context, KeyValue,
    trace::{Span, SpanContext, Status, TraceContextExt, TraceState, Tracer, TracerProvider},
};
use serde_json::Value;
use tower_otel_init::{Protocol, Sampler, Telemetry};
use tracing_subscriber::Registry;

use crate::client::{
    LOOPBACK, TIMEOUT, builder, get, json, record_and_wait, start, wait_for_event,
};

#[test]
fn spans_reach_the_page_while_a_collector_hangs() {
    // Connections are established, and nobody answers.
    let collector = TcpListener::bind(LOOPBACK).unwrap();
    let builder = builder()
        .endpoint(format!("http://{}", collector.local_addr().unwrap()))
        .protocol(Protocol::HttpProtobuf)
        .export_timeout(3 * TIMEOUT);
    let (telemetry, _) = builder.local::<Registry>().unwrap();
    for name in ["first", "second", "third"] {
        record_and_wait(&telemetry, name);
        assert_eq!(telemetry.dropped_spans().total(), 0, "{name}");
    }
    assert!(telemetry.shutdown(Duration::ZERO).is_err());
}

#[test]
fn a_trace_is_on_the_page_with_its_attributes_and_is_found_by_text() {
    let (telemetry, address) = start();
    let tracer = telemetry.tracer_provider().unwrap().tracer("");
    let mut root = tracer.start_with_context("GET /orders", &Context::new());
    root.set_attribute(KeyValue::new("http.route", "</script>\"\n"));
    root.set_status(Status::error("no stock"));
    let id = root.span_context().trace_id().to_string();
    let context = Context::new().with_span(root);
    tracer.start_with_context("reserve", &context).end();
    context.span().end();
    let list = wait_for_event(address, "traces", |list| list["changed"][0]["spans"] == 2);
    let trace = &list["changed"][0];
    assert_eq!(
        (&trace["id"], &trace["name"]),
        (&id.as_str().into(), &"GET /orders".into())
    );
    assert_eq!(
        (&trace["failed"], &trace["route"]),
        (&true.into(), &"</script>\"\n".into())
    );

    let spans = json(&get(address, &format!("/traces/{id}")).1);
    let mut names: Vec<_> = spans["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| span["name"].to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["\"GET /orders\"", "\"reserve\""]);
    assert_eq!(
        json(&get(address, "/search?q=no%20STOCK").1),
        Value::from(vec![1])
    );
    assert_eq!(
        json(&get(address, "/search?q=nothing").1),
        Value::from(Vec::<u8>::new())
    );
    for id in ["0", "zz", "00000000000000000000000000000001"] {
        assert!(
            get(address, &format!("/traces/{id}"))
                .0
                .starts_with("http/1.1 404")
        );
    }
}

#[test]
fn the_overview_has_the_summary_and_the_counts_of_spans() {
    let (telemetry, address) = start();
    telemetry
        .tracer_provider()
        .unwrap()
        .tracer("")
        .start_with_context("a", &Context::new())
        .end();
    let overview = wait_for_event(address, "overview", |overview| {
        overview["status"]["spans"]["delivered"] == 1
    });
    assert_eq!(overview["service"], "shop");
    let summary = overview["status"]["summary"].as_str().unwrap();
    assert!(
        summary.ends_with(&format!("page at http://{address}")),
        "{summary}"
    );
    assert_eq!(telemetry.summary(), summary);
}

#[test]
fn spans_of_another_process_are_part_of_the_trace() {
    let (page, address) = start();
    let (sibling, _) = Telemetry::builder("stock")
        .endpoint(format!("http://{address}"))
        .protocol(Protocol::HttpProtobuf)
        .sampler(Sampler::ratio(1.0))
        .local::<Registry>()
        .unwrap();
    let tracer = page.tracer_provider().unwrap().tracer("");
    let root = tracer.start_with_context("GET /orders", &Context::new());
    let id = root.span_context().trace_id().to_string();
    let context = Context::new().with_span(root);
    let parent = context.span().span_context().clone();
    let (trace, span, flags) = (parent.trace_id(), parent.span_id(), parent.trace_flags());
    let parent = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    let remote = Context::new().with_remote_span_context(parent);
    let tracer = sibling.tracer_provider().unwrap().tracer("");
    let mut span = tracer.start_with_context("GET /items", &remote);
    span.set_attribute(KeyValue::new("sku", "lamp"));
    span.end();
    sibling.flush(TIMEOUT).unwrap();
    context.span().end();
    wait_for_event(address, "traces", |list| list["changed"][0]["spans"] == 2);
    let trace = json(&get(address, &format!("/traces/{id}")).1);
    let mut found: Vec<_> = trace["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| {
            format!(
                "{} {} {} {}",
                span["service"], span["name"], span["remote"], span["attributes"]
            )
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "\"shop\" \"GET /orders\" false []",
            "\"stock\" \"GET /items\" true [[\"sku\",\"lamp\"]]",
        ]
    );
    sibling.shutdown(TIMEOUT).unwrap();
}
