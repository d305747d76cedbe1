//! The state that the page shows: traces, metrics and the state of the exporters.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::trace::TraceId;
use serde_json::{Value, json};

use crate::page::red_history::RedHistory;
use crate::page::span_search::contains;
use crate::page::span_source::{OwnSources, SpanSource};
use crate::page::trace_ring::TraceRing;
use crate::page::trace_spans::{StoredSpan, TraceSpans};

/// The minimum time between two reads of the metrics while a browser is connected.
const MIN_AGE: Duration = Duration::from_millis(900);

/// The limits of the time to read metrics, as a part of one processor: a fiftieth while a browser is connected, and a thousandth
/// while none is.
const WATCHED_PARTS: u32 = 50;
const UNWATCHED_PARTS: u32 = 1000;

/// The traces and the metrics of the page. Requests of the application do not use them.
pub(crate) struct PageState {
    service: String,
    traces: Mutex<TraceRing>,
    metrics: Mutex<Metrics>,
    status: Mutex<Option<StatusSource>>,
}

/// Functions that return the state of the exporters, and the metrics in the text format.
pub(crate) struct StatusSource {
    pub(crate) status: Box<dyn Fn() -> Value + Send>,
    pub(crate) metrics: Option<Box<dyn Fn() -> String + Send>>,
}

struct Metrics {
    history: RedHistory,
    /// The time and the duration of the last read.
    read: Option<(Instant, Duration)>,
}

impl PageState {
    pub(crate) fn new(service: String) -> Self {
        let now = Instant::now();
        Self {
            service,
            traces: Mutex::default(),
            metrics: Mutex::new(Metrics {
                history: RedHistory::new(now),
                read: None,
            }),
            status: Mutex::default(),
        }
    }

    /// Sets the source of the metrics and of the state of the exporters.
    pub(crate) fn set_source(&self, source: StatusSource) {
        *lock(&self.status) = Some(source);
    }

    /// Returns the sources of spans of this process.
    pub(crate) fn own_sources(&self) -> OwnSources {
        OwnSources::new(&self.service)
    }

    /// Adds the OTLP message of a span. For spans of this process, the export thread calls it.
    pub(crate) fn add(&self, message: &[u8], source: &Arc<SpanSource>) {
        lock(&self.traces).add(message, source);
    }

    /// Reads the metrics for the history, while no browser is connected.
    pub(crate) fn record_history(&self, now: Instant) {
        self.read_metrics(now, UNWATCHED_PARTS);
    }

    /// Reads the metrics, unless the last read was too recent: see [`MIN_AGE`] and [`WATCHED_PARTS`].
    fn read_metrics(&self, now: Instant, parts: u32) {
        let mut metrics = lock(&self.metrics);
        if let Some((at, took)) = metrics.read
            && now < at + MIN_AGE.max(took * parts)
        {
            return;
        }
        let source = lock(&self.status);
        let render = source.as_ref().and_then(|source| source.metrics.as_ref());
        let Some(render) = render else {
            return;
        };
        let started = Instant::now();
        let text = render();
        drop(source);
        metrics.history.read(&text, now);
        metrics.read = Some((now, started.elapsed()));
    }

    /// Returns the metrics and the state of the exporters.
    pub(crate) fn overview(&self, now: Instant) -> Value {
        self.read_metrics(now, WATCHED_PARTS);
        let source = lock(&self.status);
        let status = source.as_ref().map(|source| (source.status)());
        let has_metrics = source
            .as_ref()
            .is_some_and(|source| source.metrics.is_some());
        drop(source);
        json!({
            "service": self.service,
            "metrics": has_metrics.then(|| lock(&self.metrics).history.json(now)),
            "ring": lock(&self.traces).usage(),
            "status": status,
        })
    }

    /// Returns the changes of the list of traces after a version, in parts, and the version up to which they are complete.
    pub(crate) fn trace_changes(&self, since: Option<u64>) -> (Vec<Value>, Option<u64>) {
        let current = lock(&self.traces).version();
        let (mut parts, mut version) = (Vec::new(), since);
        while version.is_none_or(|version| version < current) {
            // Unlocked after each part, so that the export thread waits neither for all copies nor for the titles.
            let changes = lock(&self.traces).changes_since(version.unwrap_or(0));
            parts.push(changes.json());
            version = Some(changes.version);
        }
        (parts, version)
    }

    /// Calls a function while another thread could hold the lock of the traces.
    #[cfg(test)]
    pub(crate) fn with_locked_traces<R>(&self, call: impl FnOnce() -> R) -> R {
        let _locked = lock(&self.traces);
        call()
    }

    /// Returns a copy of the spans of a trace, and the number of its dropped spans.
    pub(crate) fn trace(&self, id: TraceId) -> Option<(TraceSpans, u64)> {
        let traces = lock(&self.traces);
        let trace = traces.trace(id)?;
        Some((trace.spans().clone(), trace.dropped_spans()))
    }

    /// Returns the numbers of the traces with a span that contains the text, ignoring case.
    pub(crate) fn search(&self, text: &str) -> Vec<u64> {
        let text = text.to_lowercase();
        let has_text = |span: StoredSpan<'_>| {
            let decoded = span.decode();
            decoded.is_some_and(|decoded| contains(&decoded, span.source, &text))
        };
        let ids = lock(&self.traces).ids();
        let mut spans = TraceSpans::default();
        let found = ids.into_iter().filter_map(|id| {
            // The spans of one trace are copied at a time, so that the export thread does not wait for the search.
            let traces = lock(&self.traces);
            let trace = traces.trace(id)?;
            let number = trace.number;
            spans.clone_from(trace.spans());
            drop(traces);
            spans.iter().any(has_text).then_some(number)
        });
        found.collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use prost::Message;

    use super::*;
    use crate::page::test_span::{span, text};

    #[test]
    fn the_search_returns_the_numbers_of_the_traces_with_the_text() {
        let state = PageState::new("shop".to_owned());
        let mut with_text = span(1, "a");
        with_text.attributes.push(text("user", "Ärger"));
        for span in [with_text, span(2, "b")] {
            state.add(&span.encode_to_vec(), state.own_sources().with_scope(""));
        }
        assert_eq!(state.search("ÄRGER"), [1]);
        assert!(state.search("no such text").is_empty());
        assert_eq!(state.search("shop").len(), 2);
    }

    #[test]
    fn many_large_changes_are_copied_in_parts_that_contain_each_trace_once() {
        let state = PageState::new("shop".to_owned());
        let add = |trace, name: &str| {
            let mut span = span(trace, name);
            span.attributes.push(text("large", &"x".repeat(100_000)));
            state.add(&span.encode_to_vec(), state.own_sources().with_scope(""));
        };
        (1..=30).for_each(|trace| add(trace, "a"));
        let (parts, version) = state.trace_changes(None);
        assert!(parts.len() >= 10, "{}", parts.len());
        let numbers = parts.iter().flat_map(|part| {
            let changed = part["changed"].as_array().into_iter().flatten();
            changed.map(|trace| trace["number"].as_u64())
        });
        assert!(numbers.eq((1..=30).map(Some)));
        assert_eq!(state.trace_changes(version), (Vec::new(), version));
        add(7, "b");
        let (parts, _) = state.trace_changes(version);
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0]["changed"][0]["number"], 7);
    }

    #[test]
    fn two_browsers_read_the_metrics_once() {
        let state = PageState::new("shop".to_owned());
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&reads);
        state.set_source(StatusSource {
            status: Box::new(|| Value::Null),
            metrics: Some(Box::new(move || {
                counted.fetch_add(1, Relaxed);
                String::new()
            })),
        });
        let now = Instant::now();
        state.overview(now);
        state.overview(now + Duration::from_millis(100));
        assert_eq!(reads.load(Relaxed), 1);
        state.overview(now + Duration::from_secs(60));
        assert_eq!(reads.load(Relaxed), 2);
    }
}
