//! Extraction from a request, whose headers are found in one walk, has the results of extraction from the
//! header map.

#![allow(clippy::unwrap_used, missing_docs)]

use http::{HeaderMap, HeaderValue, Request};
use opentelemetry::{
    Context,
    baggage::BaggageExt,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, TraceContextExt},
};
use proptest::prelude::*;
use tower_otel_core::RequestInfo;
use tower_otel_propagate::{
    ExtractedContext, Propagation, W3cPropagator, extract, extract_baggage, inject,
};

/// A request with these headers.
fn request(headers: &HeaderMap) -> Request<()> {
    let mut request = Request::new(());
    *request.headers_mut() = headers.clone();
    request
}

/// An extractor with all lines of a header, as OpenTelemetry's propagators see them.
struct AllLines<'a>(&'a HeaderMap);

impl Extractor for AllLines<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let lines = self.0.get_all(key).iter();
        Some(lines.map(|line| line.to_str().unwrap()).collect())
    }
}

/// What can be observed of a context: its span, its baggage, and what it sends.
type Observed = (SpanContext, Vec<(String, String)>, HeaderMap);

fn observed(cx: &Context) -> Observed {
    let baggage = cx.baggage().iter();
    let mut baggage: Vec<_> = baggage
        .map(|(key, (value, _))| (key.to_string(), value.to_string()))
        .collect();
    baggage.sort();
    let mut sent = HeaderMap::new();
    inject(cx, &mut sent);
    (cx.span().span_context().clone(), baggage, sent)
}

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";

fn traceparent() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(CALLER.to_owned()),
        3 => "00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]",
        2 => "[ \t]?(00|cc|ff)-[0-9a-fA-F]{31,33}-[0-9a-f]{16}-[0-9a-f]{2}(-x)?[ \t]?",
        1 => "[ -~]{0,60}",
    ]
}

fn line() -> impl Strategy<Value = (&'static str, String)> {
    prop_oneof![
        4 => traceparent().prop_map(|value| ("traceparent", value)),
        2 => "([a-c@]{1,3}=[1-3]{1,2},? ?){0,4}".prop_map(|value| ("tracestate", value)),
        1 => "[ -~]{0,20}".prop_map(|value| ("tracestate", value)),
        2 => "([a-c]=[1-3]{0,2}(;p)?,? ?){0,3}".prop_map(|value| ("baggage", value)),
        1 => "[ -~]{0,20}".prop_map(|value| ("x-other", value)),
    ]
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    proptest::collection::vec(line(), 0..6).prop_map(|lines| {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::try_from(value).unwrap());
        }
        headers
    })
}

/// Parents without a span, with a span, and with a `tracestate` of the same trace that
/// OpenTelemetry's `TraceState` cannot store.
fn parents() -> [Context; 3] {
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", HeaderValue::from_static(CALLER));
    let span = extract(&headers, &Context::new()).unwrap();
    headers.insert("tracestate", HeaderValue::from_static("old@@=1"));
    let overflow = extract(&headers, &Context::new()).unwrap();
    [Context::new(), span, overflow]
}

/// Returns the extracted context.
fn context(extracted: ExtractedContext, parent: &Context) -> Context {
    match extracted {
        ExtractedContext::SpanOnly(span) => parent.with_remote_span_context(span),
        ExtractedContext::Full(context) => context,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_request_has_the_result_of_its_header_map(headers in headers()) {
        let request = request(&headers);
        let request_info = RequestInfo::new(&request);
        let w3c = Propagation::w3c();
        let caller = extract(&headers, &Context::new()).map(|cx| cx.span().span_context().clone());
        prop_assert_eq!(w3c.extract_span_context(&request_info), caller);
        for parent in parents() {
            let from_request = w3c.extract(&request_info, &parent);
            let from_request = from_request.map(|extracted| context(extracted, &parent));
            let expected = extract(&headers, &parent);
            prop_assert_eq!(
                from_request.as_ref().map(observed),
                expected.as_ref().map(observed)
            );

            let by_propagator =
                W3cPropagator::default().extract_with_context(&parent, &AllLines(&headers));
            prop_assert_eq!(observed(&by_propagator), observed(expected.as_ref().unwrap_or(&parent)));

            let with_baggage = extract_baggage(&headers, expected.as_ref().unwrap_or(&parent));
            for propagation in [w3c.clone(), Propagation::from(W3cPropagator::default())] {
                let reading = propagation.read_baggage().extract(&request_info, &parent);
                let reading = reading.map(|extracted| context(extracted, &parent));
                prop_assert_eq!(
                    observed(reading.as_ref().unwrap_or(&parent)),
                    observed(&with_baggage)
                );
            }
        }
    }
}
