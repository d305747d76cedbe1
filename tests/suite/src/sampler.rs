//! What a sampler gets to see.

use std::sync::{Arc, Mutex};

use opentelemetry::{
    Context, KeyValue, TraceId,
    trace::{Link, SpanKind, TraceState},
};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

/// A sampler that takes everything, and remembers what it was shown.
#[derive(Clone, Debug, Default)]
pub struct Shown(Arc<Mutex<Vec<Sample>>>);

/// What a sampler decides by.
#[derive(Clone, Debug)]
pub struct Sample {
    pub name: String,
    pub kind: SpanKind,
    pub attributes: Vec<KeyValue>,
}

impl Shown {
    pub fn samples(&self) -> Vec<Sample> {
        self.0.lock().unwrap().clone()
    }
}

impl ShouldSample for Shown {
    fn should_sample(
        &self,
        _parent: Option<&Context>,
        _trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        _links: &[Link],
    ) -> SamplingResult {
        self.0.lock().unwrap().push(Sample {
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
