//! Sizes of spans, and a collector that refuses large requests.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use opentelemetry::{Array, KeyValue, Value, trace::Status};
use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};

use crate::support::Memory;

/// What a collector accepts at most.
const COLLECTOR: usize = 4 << 20;

/// What a record holds at most by default.
pub(crate) const RECORD: usize = 64 << 10;

fn value_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.as_str().len(),
        Value::Array(Array::String(texts)) => texts.iter().map(|text| text.as_str().len()).sum(),
        Value::Array(Array::I64(numbers)) => 8 * numbers.len(),
        _ => 8,
    }
}

fn attributes_size(attributes: &[KeyValue]) -> usize {
    let size =
        |attribute: &KeyValue| 8 + attribute.key.as_str().len() + value_size(&attribute.value);
    attributes.iter().map(size).sum()
}

/// About as many bytes as a span has in OTLP.
pub(crate) fn size(span: &SpanData) -> usize {
    let events = span.events.iter();
    let events = events.map(|event| 16 + event.name.len() + attributes_size(&event.attributes));
    let links = span.links.iter();
    let links = links.map(|link| 40 + attributes_size(&link.attributes));
    let description = match &span.status {
        Status::Error { description } => description.len(),
        _ => 0,
    };
    let size = 100 + span.name.len() + description + attributes_size(&span.attributes);
    size + events.sum::<usize>() + links.sum::<usize>()
}

/// An exporter that refuses batches that a collector refuses.
#[derive(Clone, Debug)]
pub(crate) struct Collector {
    pub(crate) spans: Memory,
    pub(crate) largest: Arc<AtomicUsize>,
}

impl Collector {
    pub(crate) fn new() -> Self {
        Self {
            spans: Memory::new(true),
            largest: Arc::default(),
        }
    }
}

impl SpanExporter for Collector {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let size = batch.iter().map(size).sum();
        self.largest.fetch_max(size, SeqCst);
        if size > COLLECTOR {
            let error = format!("{size} bytes are too many");
            return Err(OTelSdkError::InternalFailure(error));
        }
        self.spans.export(batch).await
    }
}
