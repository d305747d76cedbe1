#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use opentelemetry::trace::Status;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1 as trace;

use super::*;

fn any(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: any(Value::StringValue(value.to_owned())),
        ..KeyValue::default()
    }
}

fn span() -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: "charge".to_owned(),
        ..Span::default()
    }
}

fn request(spans: Vec<Span>) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![text("host.name", "a"), text("service.name", "billing")],
        ..Resource::default()
    };
    let scope_spans = trace::ScopeSpans {
        spans,
        ..trace::ScopeSpans::default()
    };
    let resource_spans = trace::ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![scope_spans],
        ..trace::ResourceSpans::default()
    };
    let request = ExportTraceServiceRequest {
        resource_spans: vec![resource_spans],
    };
    request.encode_to_vec()
}

/// Returns the spans with their services, and the number of the refused ones.
fn spans(request: &[u8]) -> Result<(Vec<(SpanData, String)>, u64), Malformed> {
    let mut spans = Vec::new();
    let refused = read(request, |span, service| {
        spans.push((span.clone(), service.to_owned()));
    })?;
    Ok((spans, refused))
}

#[test]
fn a_span_has_its_service_and_everything_else() {
    let array = ArrayValue {
        values: vec![
            any(Value::IntValue(1)).unwrap(),
            any(Value::StringValue("b".to_owned())).unwrap(),
        ],
    };
    let mut sent = span();
    sent.parent_span_id = vec![3; 8];
    (sent.kind, sent.flags) = (2, 1);
    (sent.start_time_unix_nano, sent.end_time_unix_nano) = (5_000, 9_000);
    sent.attributes = vec![
        text("a", "x"),
        KeyValue {
            key: "array".to_owned(),
            value: any(Value::ArrayValue(array)),
            ..KeyValue::default()
        },
    ];
    sent.status = Some(trace::Status {
        code: 2,
        message: "declined".to_owned(),
    });
    let (found, refused) = spans(&request(vec![sent])).unwrap();
    assert_eq!((found.len(), refused), (1, 0));
    let (span, service) = &found[0];
    assert_eq!((service.as_str(), &*span.name), ("billing", "charge"));
    assert_eq!(span.status, Status::error("declined"));
    assert!(
        span.parent_span_is_remote,
        "the parent of a server span, unless it says otherwise"
    );
    assert_eq!(
        span.end_time
            .duration_since(span.start_time)
            .unwrap()
            .as_nanos(),
        4_000
    );
    let attributes: Vec<_> = span
        .attributes
        .iter()
        .map(|each| format!("{}={}", each.key, each.value))
        .collect();
    assert_eq!(attributes, ["a=x", "array=[\"1\",\"b\"]"]);
}

#[test]
fn spans_without_ids_and_too_large_ones_are_refused() {
    let mut large = span();
    large.name = "x".repeat(MAX_MESSAGE);
    let no_trace = Span {
        trace_id: vec![0; 16],
        ..span()
    };
    let no_span = Span {
        span_id: vec![1; 7],
        ..span()
    };
    let (found, refused) = spans(&request(vec![
        large,
        no_trace,
        span(),
        no_span,
        Span::default(),
    ]))
    .unwrap();
    assert_eq!((found.len(), refused), (1, 4));
}

#[test]
fn forged_times_and_names_do_not_panic() {
    let mut forged = span();
    (forged.start_time_unix_nano, forged.end_time_unix_nano) = (u64::MAX, 0);
    (forged.kind, forged.flags, forged.name) = (-7, u32::MAX, "ä\0".repeat(1000));
    let (found, _) = spans(&request(vec![forged])).unwrap();
    assert_eq!(found[0].0.start_time, found[0].0.end_time);
    crate::page::span_json::span_json(&found[0].0, "a");
}

#[test]
fn any_cut_of_a_request_is_read_or_malformed() {
    let request = request(vec![span(), span()]);
    assert!((0..request.len()).any(|end| spans(&request[..end]).is_err()));
    for index in 0..request.len() {
        for byte in [0, 0x7f, 0x80, 0xff] {
            let mut changed = request.clone();
            changed[index] = byte;
            let _ = spans(&changed);
        }
    }
}
