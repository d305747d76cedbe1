//! What a sampler gets to see.

use std::sync::{Arc, Mutex};

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

/// A sampler that takes everything, and remembers what it was shown.
#[derive(Clone, Debug, Default)]
pub struct RecordingSampler(Arc<Mutex<Vec<SamplerInput>>>);

/// What a sampler decides by.
#[derive(Clone, Debug)]
pub struct SamplerInput {
    pub name: String,
    pub kind: SpanKind,
    pub attributes: Vec<KeyValue>,
}

impl RecordingSampler {
    pub fn inputs(&self) -> Vec<SamplerInput> {
        self.0.lock().unwrap().clone()
    }
}

impl ShouldSample for RecordingSampler {
    fn should_sample(
        &self,
        _parent: Option<&Context>,
        _trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        self.0.lock().unwrap().push(SamplerInput {
            name: name.to_owned(),
            kind: kind.clone(),
            attributes: attributes.to_vec(),
        });
        SamplingResult {
            decision: SamplingDecision::RecordAndSample,
            attributes: Vec::new(),
            trace_state: TraceState::default(),
        }
    }
}
