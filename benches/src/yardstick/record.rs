//! A span as a compact record, in the OpenTelemetry context, with counts: one visit to thread-local storage at the start
//! and one at the end.

use std::{
    borrow::Cow,
    cell::RefCell,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Instant, SystemTime},
};

use axum::extract::{MatchedPath, Request};
use http::{HeaderValue, StatusCode, header};
use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{Span, SpanContext, Status, TraceContextExt, TraceState},
};

use super::{
    counts::{Outcome, SeriesOfThread},
    exchange::Hook,
    queue::{Discard, Queue},
    traceparent,
};

const TEXT_BYTES: usize = 200;

/// A record of fixed size.
struct Record {
    changes: Arc<Changes>,
    trace: u128,
    span: u64,
    parent: u64,
    flags: u8,
    start: Instant,
    end: Instant,
    name: &'static str,
    series: usize,
    status: u16,
    outcome: Outcome,
    /// The ends of path, host and user agent in the texts.
    ends: [u8; 3],
    texts: [u8; TEXT_BYTES],
}

/// What the handler adds to the span.
#[derive(Default)]
struct Changes {
    has_ended: AtomicBool,
    attributes: Mutex<Vec<KeyValue>>,
}

impl Record {
    fn new() -> Box<Self> {
        let now = Instant::now();
        Box::new(Self {
            changes: Arc::default(),
            trace: 0,
            span: 0,
            parent: 0,
            flags: 0,
            start: now,
            end: now,
            name: "",
            series: 0,
            status: 0,
            outcome: Outcome::Cancelled,
            ends: [0; 3],
            texts: [0; TEXT_BYTES],
        })
    }

    /// Copies a text. Longer ones would be boxed.
    fn put(&mut self, at: usize, start: u8, text: &[u8]) -> u8 {
        let start = usize::from(start);
        let end = (start + text.len()).min(TEXT_BYTES);
        self.texts[start..end].copy_from_slice(&text[..end - start]);
        self.ends[at] = end as u8;
        end as u8
    }

    /// Prepares the record for the next span.
    fn renew(&mut self) {
        match Arc::get_mut(&mut self.changes) {
            Some(changes) => *changes.has_ended.get_mut() = false,
            None => self.changes = Arc::default(),
        }
    }
}

impl Discard for Record {
    fn checksum(&self) -> u64 {
        let nanos = self.end.duration_since(self.start).as_nanos() as u64;
        let ids = self.trace as u64 ^ self.span ^ self.parent ^ u64::from(self.flags);
        let end = u64::from(self.status) ^ (self.outcome as u64) << 32 ^ self.name.len() as u64;
        let added = self.changes.attributes.lock().unwrap().len() as u64;
        let texts = self.texts[..usize::from(self.ends[2])].iter();
        texts.fold(nanos ^ ids ^ end ^ added, |sum, byte| {
            sum.wrapping_mul(31) ^ u64::from(*byte)
        })
    }
}

/// The span in the context.
#[derive(Debug)]
struct HandlerSpan {
    context: SpanContext,
    changes: Arc<Changes>,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

impl Span for HandlerSpan {
    fn add_event_with_timestamp<T: Into<Cow<'static, str>>>(
        &mut self,
        _name: T,
        _timestamp: SystemTime,
        _attributes: Vec<KeyValue>,
    ) {
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        !self.changes.has_ended.load(Relaxed)
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        if self.is_recording() {
            self.changes.attributes.lock().unwrap().push(attribute);
        }
    }

    fn set_status(&mut self, _status: Status) {}

    fn update_name<T: Into<Cow<'static, str>>>(&mut self, _new_name: T) {}

    fn add_link(&mut self, _span_context: SpanContext, _attributes: Vec<KeyValue>) {}

    fn end_with_timestamp(&mut self, _timestamp: SystemTime) {
        self.changes.has_ended.store(true, Relaxed);
    }
}

struct OfThread {
    random: fastrand::Rng,
    pool: Vec<Box<Record>>,
    series: SeriesOfThread,
    queue: Queue<Record>,
}

static QUEUE: OnceLock<Queue<Record>> = OnceLock::new();

thread_local! {
    static OF_THREAD: RefCell<OfThread> = RefCell::new(OfThread {
        random: fastrand::Rng::new(),
        pool: Vec::new(),
        series: SeriesOfThread::default(),
        queue: QUEUE.get_or_init(Queue::start).clone(),
    });
}

/// Waits until the ended records are read, if there is any.
pub fn flush() {
    if let Some(queue) = QUEUE.get() {
        queue.flush();
    }
}

/// Records a span and counts the request.
#[derive(Clone, Copy, Debug)]
pub struct RecordAndCount;

/// The state of an exchange.
pub struct OpenRecord {
    record: Box<Record>,
    context: Context,
}

impl Hook for RecordAndCount {
    type State = OpenRecord;

    #[inline(never)]
    fn start(&self, request: &Request) -> OpenRecord {
        OF_THREAD.with_borrow_mut(|thread| {
            let record = thread.queue.take_spare(&mut thread.pool);
            let mut record = record.map_or_else(Record::new, |mut record| {
                record.renew();
                record
            });
            record.start = Instant::now();
            let (mut parents, mut parent, mut host, mut agent) = (0, None, None, None);
            for (name, value) in request.headers() {
                if *name == header::HOST {
                    host = Some(value);
                } else if *name == header::USER_AGENT {
                    agent = Some(value);
                } else if traceparent::is_name(name) {
                    parent = Some(value);
                    parents += 1;
                }
            }
            let parent = parent.filter(|_| parents == 1);
            let parent = parent.and_then(|value| traceparent::parse(value.as_bytes()));
            (record.trace, record.parent, record.flags) = match parent {
                Some((trace, span, flags)) => (trace, span, flags & 2 | 1),
                None => (thread.random.u128(1..), 0, 1),
            };
            record.span = thread.random.u64(1..);
            let route = request.extensions().get::<MatchedPath>();
            let route = route.map_or("", MatchedPath::as_str);
            record.series = thread.series.find(request.method(), route);
            record.name = thread.series.name(record.series);
            thread.series.counts(record.series).started();
            let path = request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str());
            let end = record.put(0, 0, path.as_bytes());
            let end = record.put(1, end, host.map_or(b"", HeaderValue::as_bytes));
            record.put(2, end, agent.map_or(b"", HeaderValue::as_bytes));
            let span = HandlerSpan {
                context: SpanContext::new(
                    TraceId::from(record.trace),
                    SpanId::from(record.span),
                    TraceFlags::new(record.flags),
                    false,
                    TraceState::NONE,
                ),
                changes: Arc::clone(&record.changes),
            };
            let context = Context::map_current(|current| current.with_span(span));
            OpenRecord { record, context }
        })
    }

    #[inline(always)]
    fn within<T>(state: &mut OpenRecord, function: impl FnOnce() -> T) -> T {
        let _attached = state.context.clone().attach();
        function()
    }

    fn status(state: &mut OpenRecord, status: StatusCode) {
        state.record.status = status.as_u16();
    }

    #[inline(never)]
    fn end(state: OpenRecord, outcome: Outcome) {
        let OpenRecord { mut record, .. } = state;
        record.end = Instant::now();
        record.outcome = outcome;
        record.changes.has_ended.store(true, Relaxed);
        OF_THREAD.with_borrow_mut(|thread| {
            // The series are those of this thread: no exchange of the benches changes its thread.
            let counts = thread.series.counts(record.series);
            let duration = record.end.saturating_duration_since(record.start);
            counts.ended(record.status, outcome, duration);
            thread.queue.push(record);
        });
    }
}
