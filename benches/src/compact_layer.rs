//! A reference for the cost of layers that record `tracing` spans. It omits events, links, sampling, late
//! names and changes through the OpenTelemetry context.

#![allow(
    clippy::vec_box,
    reason = "a record moves between lists without being copied"
)]

use std::{
    cell::RefCell,
    fmt::Debug,
    hint::black_box,
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread::{self, Thread},
    time::{Duration, Instant},
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

use crate::recorded_counts;

/// The number of spans that wakes the export thread, and the maximum number of spans that wait for it.
const BATCH: usize = 512;
const QUEUE: usize = 2048;

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
}

#[derive(Default)]
struct Queues {
    ended: Mutex<Vec<Box<CompactRecord>>>,
    spare: Mutex<Vec<Box<CompactRecord>>>,
    flushes: Mutex<Vec<mpsc::Sender<()>>>,
    checksum: AtomicU64,
}

impl Queues {
    fn take_record(&self) -> Option<Box<CompactRecord>> {
        POOL.with_borrow_mut(|pool| {
            if pool.is_empty() {
                let mut spare = self.spare.lock().unwrap();
                let keep = spare.len().saturating_sub(64);
                pool.extend(spare.drain(keep..));
            }
            pool.pop()
        })
    }

    /// Reads all bytes of the ended spans, in place of an export.
    fn export(&self) {
        let flushes = mem::take(&mut *self.flushes.lock().unwrap());
        let ended = mem::take(&mut *self.ended.lock().unwrap());
        let mut sum = 0;
        for record in &ended {
            let nanos = record.end.duration_since(record.start).as_nanos() as u64;
            sum ^= record.trace as u64 ^ record.span ^ record.parent ^ nanos;
            sum ^= record.metadata.name().len() as u64;
            for byte in &record.fields {
                sum = sum.wrapping_mul(31) ^ u64::from(*byte);
            }
        }
        self.checksum.store(black_box(sum), Relaxed);
        recorded_counts::add_spans(ended.len());
        self.spare.lock().unwrap().extend(ended);
        for flush in flushes {
            let _ = flush.send(());
        }
    }
}

/// Writes spans to pooled records and discards them on another thread.
#[derive(Clone)]
pub struct CompactLayer {
    /// Whether inner spans also attach a context. Otherwise, the parent of spans of the OpenTelemetry API is the root span
    /// instead of the innermost span.
    inner_contexts: bool,
    queues: Arc<Queues>,
    exporter: Thread,
}

impl CompactLayer {
    /// Starts the export thread.
    pub fn start(inner_contexts: bool) -> Self {
        let queues = Arc::<Queues>::default();
        let exporting = Arc::clone(&queues);
        let thread = thread::spawn(move || {
            loop {
                exporting.export();
                if exporting.flushes.lock().unwrap().is_empty() {
                    thread::park_timeout(Duration::from_secs(3600));
                }
            }
        });
        Self {
            inner_contexts,
            queues,
            exporter: thread.thread().clone(),
        }
    }

    /// Waits until the ended spans are exported.
    pub fn flush(&self) {
        let (sender, receiver) = mpsc::channel();
        self.queues.flushes.lock().unwrap().push(sender);
        self.exporter.unpark();
        receiver.recv().unwrap();
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
        let (trace, parent_id) = parent.unwrap_or_else(|| (fastrand::u128(1..), 0));
        let has_context = parent.is_none() || self.inner_contexts;
        let context = has_context.then(|| {
            let (trace, span) = (TraceId::from(trace), SpanId::from(own));
            let ids = SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::NONE);
            OtelContext::map_current(|current| current.with_remote_span_context(ids))
        });
        let record = self.queues.take_record();
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
        let mut ended = self.queues.ended.lock().unwrap();
        if ended.len() >= QUEUE {
            return;
        }
        ended.push(record);
        if ended.len() == BATCH {
            drop(ended);
            self.exporter.unpark();
        }
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
