//! What the page shows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::SpanData;
use serde_json::{Value, json};

use crate::page::red_history::RedHistory;
use crate::page::trace_ring::{TraceRing, TraceSpans};

/// The metrics are read again after so long, while a browser is connected.
const MIN_AGE: Duration = Duration::from_millis(900);

/// Reading the metrics takes at most this part of the time, and with it of one processor.
const MAX_LOAD: u32 = 50;

/// The traces and the metrics of the page. Requests touch neither.
pub(crate) struct PageState {
    service: String,
    traces: Mutex<TraceRing>,
    metrics: Mutex<Metrics>,
    status: Mutex<Option<StatusSource>>,
}

/// Returns the state of the exporters, and the metrics in the text format.
pub(crate) struct StatusSource {
    pub(crate) status: Box<dyn Fn() -> Value + Send>,
    pub(crate) metrics: Option<Box<dyn Fn() -> String + Send>>,
}

struct Metrics {
    history: RedHistory,
    /// When they are read again at the earliest.
    next: Instant,
}

impl PageState {
    pub(crate) fn new(service: String) -> Self {
        let now = Instant::now();
        Self {
            service,
            traces: Mutex::default(),
            metrics: Mutex::new(Metrics {
                history: RedHistory::new(now),
                next: now,
            }),
            status: Mutex::default(),
        }
    }

    /// Sets where the state of the exporters and the metrics are read.
    pub(crate) fn set_source(&self, source: StatusSource) {
        *lock(&self.status) = Some(source);
    }

    /// Adds a span of this process. Called on the export thread.
    pub(crate) fn add(&self, span: &SpanData) {
        self.add_of(span, &self.service);
    }

    /// Adds a span of a service.
    pub(crate) fn add_of(&self, span: &SpanData, service: &str) {
        lock(&self.traces).add(span, service);
    }

    /// Reads the metrics, unless that was done a short time ago.
    pub(crate) fn refresh(&self, now: Instant) {
        let mut metrics = lock(&self.metrics);
        if now < metrics.next {
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
        metrics.next = now + MIN_AGE.max(started.elapsed() * MAX_LOAD);
    }

    /// Returns metrics and the state of the exporters.
    pub(crate) fn overview(&self, now: Instant) -> Value {
        self.refresh(now);
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

    /// Returns the changes of the list of traces after a version, and the version now. `None` if there is none.
    pub(crate) fn trace_changes(&self, since: Option<u64>) -> Option<(Value, u64)> {
        let traces = lock(&self.traces);
        let version = traces.version();
        let has_changed = since != Some(version);
        has_changed.then(|| (traces.changes_since(since.unwrap_or(0)), version))
    }

    pub(crate) fn trace(&self, id: TraceId) -> Option<TraceSpans> {
        lock(&self.traces).spans(id)
    }

    /// Returns the numbers of the traces of which a span contains the text, in upper or lower case.
    pub(crate) fn search(&self, text: &str) -> Vec<u64> {
        // Taken out, so that the export thread does not wait for the search.
        let traces = lock(&self.traces).all_spans();
        // As it stands in JSON, without the quotes.
        let text = &*text.to_lowercase();
        let quoted = Value::from(text).to_string();
        let needle = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        let has_text = |span: &bytes::Bytes| {
            let json = String::from_utf8_lossy(span).to_lowercase();
            // The names of fields do not count.
            json.contains(needle)
                && serde_json::from_str(&json).is_ok_and(|json| contains(&json, text))
        };
        let found = traces
            .iter()
            .filter(|(_, spans)| spans.iter().any(has_text));
        found.map(|(number, _)| *number).collect()
    }
}

/// Whether a text in the value contains another one.
fn contains(value: &Value, text: &str) -> bool {
    match value {
        Value::String(own) => own.contains(text),
        Value::Array(values) => values.iter().any(|value| contains(value, text)),
        Value::Object(fields) => fields.values().any(|value| contains(value, text)),
        Value::Number(number) => number.to_string().contains(text),
        Value::Bool(_) | Value::Null => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use opentelemetry::KeyValue;

    use super::*;
    use crate::page::span_json::tests::span;

    #[test]
    fn the_search_finds_attributes_in_any_case_and_with_quotes() {
        let state = PageState::new("shop".to_owned());
        let mut with_text = span(1, "a");
        with_text
            .attributes
            .push(KeyValue::new("user", "Ärger \"quoted\""));
        state.add(&with_text);
        state.add(&span(2, "b"));
        assert_eq!(state.search("ärger \"QUOTED"), [1]);
        for text in ["no such text", "traceparent", "\":\""] {
            assert!(state.search(text).is_empty(), "{text}");
        }
        assert_eq!(state.search("").len(), 2);
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
