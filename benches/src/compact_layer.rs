//! A reference for the cost of layers that record `tracing` spans. It omits events, links, sampling, late
//! names and changes through the OpenTelemetry context.

#![allow(
    clippy::vec_box,
    reason = "a record moves between lists without being copied"
)]

use std::{
    cell::{Cell, RefCell},
    fmt::Debug,
    time::Instant,
};

use opentelemetry::{
    Context as OtelContext, ContextGuard, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt, TraceState},
};
use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use crate::yardstick::{
    queue::{Discard, Queue},
    traceparent::Parent,
};

struct CompactRecord {
    trace: u128,
    span: u64,
    parent: u64,
    start: Instant,
    end: Instant,
    metadata: &'static Metadata<'static>,
    context: Option<OtelContext>,
    fields: Vec<u8>,
}

thread_local! {
    static GUARDS: RefCell<Vec<ContextGuard>> = const { RefCell::new(Vec::new()) };
    static POOL: RefCell<Vec<Box<CompactRecord>>> = const { RefCell::new(Vec::new()) };
    static REMOTE_PARENT: Cell<Option<Parent>> = const { Cell::new(None) };
}

/// Sets the parent of the next root span of this thread.
pub fn set_remote_parent(parent: Option<Parent>) {
    REMOTE_PARENT.set(parent);
}

impl Discard for CompactRecord {
    fn checksum(&self) -> u64 {
        let nanos = self.end.duration_since(self.start).as_nanos() as u64;
        let ids = self.trace as u64 ^ self.span ^ self.parent;
        let sum = nanos ^ ids ^ self.metadata.name().len() as u64;
        self.fields
            .iter()
            .fold(sum, |sum, byte| sum.wrapping_mul(31) ^ u64::from(*byte))
    }
}

/// Writes spans to pooled records and discards them on another thread.
#[derive(Clone)]
pub struct CompactLayer {
    /// Whether inner spans also attach a context. Otherwise, the parent of spans of the OpenTelemetry API is the root span
    /// instead of the innermost span.
    inner_contexts: bool,
    queue: Queue<CompactRecord>,
}

impl CompactLayer {
    /// Starts the thread that reads the ended spans.
    pub fn start(inner_contexts: bool) -> Self {
        Self {
            inner_contexts,
            queue: Queue::start(),
        }
    }

    /// Waits until the ended spans are read.
    pub fn flush(&self) {
        self.queue.flush();
    }
}

impl Debug for CompactLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CompactLayer").finish_non_exhaustive()
    }
}

impl<S: Subscriber + for<'l> LookupSpan<'l>> Layer<S> for CompactLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        let parent = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            let record = extensions.get::<Box<CompactRecord>>()?;
            Some((record.trace, record.span))
        });
        let (start, own) = (Instant::now(), fastrand::u64(1..));
        let (trace, parent_id) = parent.unwrap_or_else(|| match REMOTE_PARENT.take() {
            Some((trace, span, _)) => (trace, span),
            None => (fastrand::u128(1..), 0),
        });
        let has_context = parent.is_none() || self.inner_contexts;
        let context = has_context.then(|| {
            let (trace, span) = (TraceId::from(trace), SpanId::from(own));
            let ids = SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE);
            OtelContext::map_current(|current| current.with_remote_span_context(ids))
        });
        let record = POOL.with_borrow_mut(|pool| self.queue.take_spare(pool));
        let mut record = record.unwrap_or_else(|| {
            Box::new(CompactRecord {
                trace,
                span: own,
                parent: parent_id,
                start,
                end: start,
                metadata: attributes.metadata(),
                context: None,
                fields: Vec::with_capacity(300),
            })
        });
        (record.trace, record.span, record.parent) = (trace, own, parent_id);
        (record.start, record.metadata) = (start, attributes.metadata());
        record.context = context;
        record.fields.clear();
        attributes.record(&mut Fields(&mut record.fields));
        span.extensions_mut().insert(record);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(record) = span.extensions_mut().get_mut::<Box<CompactRecord>>() {
            values.record(&mut Fields(&mut record.fields));
        }
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        if let Some(context) = open_context(id, &ctx) {
            let guard = context.attach();
            GUARDS.with_borrow_mut(|guards| guards.push(guard));
        }
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        if open_context(id, &ctx).is_some() {
            drop(GUARDS.with_borrow_mut(Vec::pop));
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let record = span.extensions_mut().remove::<Box<CompactRecord>>();
        let Some(mut record) = record else { return };
        record.end = Instant::now();
        record.context = None;
        self.queue.push(record);
    }
}

fn open_context<S>(id: &Id, ctx: &Context<'_, S>) -> Option<OtelContext>
where
    S: Subscriber + for<'l> LookupSpan<'l>,
{
    let span = ctx.span(id)?;
    let extensions = span.extensions();
    extensions.get::<Box<CompactRecord>>()?.context.clone()
}

/// Writes the index, the type, the length and the bytes of each field.
struct Fields<'a>(&'a mut Vec<u8>);

impl Fields<'_> {
    fn put(&mut self, field: &Field, kind: u8, value: &[u8]) {
        let length = u16::try_from(value.len()).unwrap().to_le_bytes();
        self.0.extend([field.index() as u8, kind]);
        self.0.extend(length);
        self.0.extend(value);
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, 0, value.as_bytes());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, 1, &value.to_le_bytes());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, 2, &value.to_le_bytes());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, 3, &[u8::from(value)]);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, 0, format!("{value:?}").as_bytes());
    }
}
