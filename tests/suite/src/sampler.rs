//! A sampler that records its input.

use std::sync::{Arc, Mutex};

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

/// A sampler that samples every span and records its input.
#[derive(Clone, Debug, Default)]
pub struct RecordingSampler(Arc<Mutex<Vec<SamplerInput>>>);

/// The input of a sampling decision.
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
