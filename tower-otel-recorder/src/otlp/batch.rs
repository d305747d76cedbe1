//! The spans of a batch as OTLP messages, and requests with a part of them.
//!
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/collector/trace/v1/trace_service.proto>

use std::{collections::HashMap, ops::Range};

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::Resource;

use crate::{
    clock::Clocks,
    encoding::{
        attributes::AttributeWriter,
        protobuf::{Writer, message_size},
    },
    limits::Limits,
    record::SpanRecord,
};

/// The field of `ExportTraceServiceRequest`.
const RESOURCE_SPANS: u32 = 1;

/// The fields of `ResourceSpans`: the resource or the scopes, and a schema URL.
const RESOURCE: u32 = 1;
const SCOPE_SPANS: u32 = 2;
const SCHEMA_URL: u32 = 3;

/// The fields of `ScopeSpans`, without the schema URL.
const SCOPE: u32 = 1;
const SPANS: u32 = 2;

/// The field of `Resource`.
const RESOURCE_ATTRIBUTES: u32 = 1;

/// The fields of `InstrumentationScope`.
const SCOPE_NAME: u32 = 1;
const SCOPE_VERSION: u32 = 2;
const SCOPE_ATTRIBUTES: u32 = 3;

/// If there are more scopes, those of earlier batches are removed.
const MAX_SCOPES: usize = 64;

/// The maximum capacity for spans that is reused for the next batch.
const MAX_REUSED: usize = 1 << 20;

/// Encoded spans. Each span is encoded once, even if it is sent in several requests.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// The fields of `ResourceSpans` that all spans share.
    resource: Vec<u8>,
    scopes: Vec<Scope>,
    scope_indices: HashMap<InstrumentationScope, usize>,
    /// The messages of all spans, one after the other.
    messages: Writer,
    /// Sorted by scope before a request is created.
    spans: Vec<EncodedSpan>,
    is_sorted: bool,
}

/// A scope that is encoded once.
#[derive(Debug)]
struct Scope {
    scope: InstrumentationScope,
    /// The fields of `ScopeSpans` that all its spans share.
    fields: Vec<u8>,
}

/// A part of the messages, and the index of its scope.
#[derive(Clone, Copy, Debug)]
struct EncodedSpan {
    scope: usize,
    start: usize,
    end: usize,
}

impl EncodedSpan {
    const fn len(&self) -> usize {
        self.end.saturating_sub(self.start)
    }
}

impl Batch {
    pub(crate) fn new(resource: &Resource) -> Self {
        let mut fields = Writer::default();
        fields.message(RESOURCE, |writer| {
            let mut attributes = AttributeWriter::new(writer, RESOURCE_ATTRIBUTES, u32::MAX);
            for (key, value) in resource {
                attributes.value(key.as_str(), value);
            }
        });
        let schema_url = resource.schema_url().unwrap_or_default();
        fields.bytes(SCHEMA_URL, schema_url.as_bytes());
        Self {
            resource: fields.into_vec(),
            ..Self::default()
        }
    }

    /// Adds the span of a record. The record must be cleared before it is reused.
    pub(crate) fn add(
        &mut self,
        record: &mut SpanRecord,
        clocks: Clocks,
        default_scope: &InstrumentationScope,
        limits: &Limits,
    ) {
        let scope = self.scope_index(record.scope.get(default_scope));
        let start = self.messages.len();
        record.write_otlp(&mut self.messages, clocks, limits);
        let end = self.messages.len();
        self.spans.push(EncodedSpan { scope, start, end });
        self.is_sorted = false;
    }

    /// Returns the message of the span that was added last, before the batch is sorted.
    pub(crate) fn last_message(&self) -> &[u8] {
        let last = self.spans.last();
        let message = last.and_then(|span| self.messages.as_slice().get(span.start..span.end));
        message.unwrap_or_default()
    }

    fn scope_index(&mut self, scope: &InstrumentationScope) -> usize {
        // Usually the scope of the previous span.
        let last = self.spans.last().map(|span| span.scope);
        let is_last = |index: &usize| {
            self.scopes
                .get(*index)
                .is_some_and(|last| last.scope == *scope)
        };
        if let Some(index) = last.filter(is_last) {
            return index;
        }
        if let Some(index) = self.scope_indices.get(scope) {
            return *index;
        }
        let index = self.scopes.len();
        self.scope_indices.insert(scope.clone(), index);
        self.scopes.push(Scope {
            scope: scope.clone(),
            fields: encode_scope(scope),
        });
        index
    }

    pub(crate) const fn len(&self) -> usize {
        self.spans.len()
    }

    /// Returns the end of the longest part from `start` whose spans have at most `max_bytes` bytes. The part has at least one
    /// span. The resource counts, scopes do not.
    pub(crate) fn end_of_request(&self, start: usize, max_bytes: usize) -> usize {
        // A large resource counts at most three quarters of a request.
        let mut room = max_bytes
            .saturating_sub(self.resource.len())
            .max(max_bytes / 4);
        let spans = self.spans.get(start..).unwrap_or_default();
        let fits = spans.iter().take_while(|span| {
            let size = message_size(span.len());
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        });
        (start + fits.count().max(1)).min(self.spans.len())
    }

    /// Sorts the spans by scope, so that a part has each scope once. Spans of one scope stay in order.
    pub(crate) fn sort(&mut self) {
        if !self.is_sorted {
            self.spans.sort_by_key(|span| span.scope);
            self.is_sorted = true;
        }
    }

    /// Returns an `ExportTraceServiceRequest` with a part of the spans, after `zeros` zero bytes.
    pub(crate) fn request(&self, part: Range<usize>, zeros: usize) -> Vec<u8> {
        let spans = self.spans.get(part).unwrap_or_default();
        let scopes = || spans.chunk_by(|one, next| one.scope == next.scope);
        let content = |spans: &[EncodedSpan]| {
            let messages = spans.iter().map(|span| message_size(span.len()));
            self.scope_fields(spans).len() + messages.sum::<usize>()
        };
        let scope_spans = scopes().map(|spans| message_size(content(spans)));
        let length = self.resource.len() + scope_spans.sum::<usize>();
        let mut request = Writer::with_zeros(zeros, message_size(length));
        request.message_start(RESOURCE_SPANS, length);
        request.raw(&self.resource);
        for spans in scopes() {
            request.message_start(SCOPE_SPANS, content(spans));
            request.raw(self.scope_fields(spans));
            for span in spans {
                let message = self.messages.as_slice().get(span.start..span.end);
                request.present_bytes(SPANS, message.unwrap_or_default());
            }
        }
        request.into_vec()
    }

    /// Returns the shared fields of spans with the same scope.
    fn scope_fields(&self, spans: &[EncodedSpan]) -> &[u8] {
        let scope = spans.first().and_then(|span| self.scopes.get(span.scope));
        scope.map(|scope| &*scope.fields).unwrap_or_default()
    }

    /// Removes all spans, and scopes if there are many.
    pub(crate) fn clear(&mut self) {
        self.spans.clear();
        self.messages.clear(MAX_REUSED);
        if self.scopes.len() > MAX_SCOPES {
            self.scopes.clear();
            self.scope_indices.clear();
        }
    }
}

fn encode_scope(scope: &InstrumentationScope) -> Vec<u8> {
    let mut fields = Writer::default();
    fields.message(SCOPE, |writer| {
        writer.bytes(SCOPE_NAME, scope.name().as_bytes());
        let version = scope.version().unwrap_or_default();
        writer.bytes(SCOPE_VERSION, version.as_bytes());
        AttributeWriter::new(writer, SCOPE_ATTRIBUTES, u32::MAX).all(scope.attributes());
    });
    let schema_url = scope.schema_url().unwrap_or_default();
    fields.bytes(SCHEMA_URL, schema_url.as_bytes());
    fields.into_vec()
}
