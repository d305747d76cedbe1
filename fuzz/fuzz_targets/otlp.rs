//! The OTLP request of any records is what opentelemetry-otlp sends for the same spans.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opentelemetry_proto::{
    tonic::collector::trace::v1::ExportTraceServiceRequest,
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use prost::Message;
use tower_otel_recorder::otlp_sample::sample;

/// The bytes of a request. The order of scopes has no meaning.
fn encode(mut request: ExportTraceServiceRequest) -> Vec<u8> {
    for resource in &mut request.resource_spans {
        resource.scope_spans.sort_by_key(Message::encode_to_vec);
    }
    request.encode_to_vec()
}

fuzz_target!(|input: &[u8]| {
    let sample = sample(input);
    let resource = ResourceAttributesWithSchema::from(&sample.resource);
    let theirs = ExportTraceServiceRequest {
        resource_spans: group_spans_by_resource_and_scope(sample.spans, &resource),
    };
    let ours = ExportTraceServiceRequest::decode(&*sample.request).expect("the request is OTLP");
    assert_eq!(encode(ours), encode(theirs));
});
