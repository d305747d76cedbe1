#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1 as trace;

use super::*;
use crate::page::test_span::{span, text};

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

/// Returns the spans with service and scope, and the number of refused spans.
fn spans(request: &[u8]) -> Result<(Vec<(Span, String)>, u64), Malformed> {
    let mut spans = Vec::new();
    let refused = read(request, |message, source| {
        let source = format!("{} {}", source.service, source.scope);
        spans.push((Span::decode(message).unwrap(), source));
    })?;
    Ok((spans, refused))
}

#[test]
fn a_span_has_its_service_and_its_scope() {
    let scope = |name: &str, spans| trace::ScopeSpans {
        scope: Some(common::InstrumentationScope {
            name: name.to_owned(),
            ..common::InstrumentationScope::default()
        }),
        spans,
        ..trace::ScopeSpans::default()
    };
    let mut request = ExportTraceServiceRequest::decode(&*request(vec![span(1, "a")])).unwrap();
    let scopes = &mut request.resource_spans[0].scope_spans;
    scopes.push(scope("http", vec![span(2, "b"), span(3, "c")]));
    scopes.push(trace::ScopeSpans {
        scope: None,
        ..scope("", vec![span(4, "d")])
    });
    let (found, refused) = spans(&request.encode_to_vec()).unwrap();
    assert_eq!(refused, 0);
    let found: Vec<_> = found
        .iter()
        .map(|(span, source)| format!("{} {source}", span.name))
        .collect();
    assert_eq!(
        found,
        [
            "a billing ",
            "b billing http",
            "c billing http",
            "d billing "
        ]
    );
    let without_resource = trace::ResourceSpans {
        resource: None,
        ..request.resource_spans[0].clone()
    };
    request.resource_spans = vec![without_resource];
    let (found, _) = spans(&request.encode_to_vec()).unwrap();
    assert_eq!(found[0].1, "unknown ");
}

#[test]
fn spans_without_ids_and_too_large_ones_are_refused() {
    let mut large = span(1, "a");
    large.name = "x".repeat(MAX_MESSAGE);
    let no_trace = Span {
        trace_id: vec![0; 16],
        ..span(1, "a")
    };
    let no_span = Span {
        span_id: vec![1; 7],
        ..span(1, "a")
    };
    let (found, refused) = spans(&request(vec![
        large,
        no_trace,
        span(1, "a"),
        no_span,
        Span::default(),
    ]))
    .unwrap();
    assert_eq!((found.len(), refused), (1, 4));
}

#[test]
fn any_cut_of_a_request_is_read_or_malformed() {
    let request = request(vec![span(1, "a"), span(2, "b")]);
    assert!((0..request.len()).any(|end| spans(&request[..end]).is_err()));
    for index in 0..request.len() {
        for byte in [0, 0x7f, 0x80, 0xff] {
            let mut changed = request.clone();
            changed[index] = byte;
            let _ = spans(&changed);
        }
    }
}
