//! The filter of log lines and log records, which can be replaced while they are written.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use opentelemetry::trace::SpanContext;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_log::NormalizeEvent;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::Builder;
use tracing_subscriber::layer::{Context, Filter};

use crate::current_context;
use crate::options::LogTraces;

/// The target of the access log, which has a line for each request. A caller must not be able to remove its requests from it by the
/// sampled flag of its `traceparent`.
const ACCESS_LOG: &str = "tower_otel_trace::access_log";

/// The current directives, and the filters of the layers that use them.
///
/// `tracing_subscriber::reload` is not used, because it takes a lock that all threads share.
#[derive(Clone)]
pub(crate) struct LiveLogFilter(Arc<Mutex<Directives>>);

struct Directives {
    text: String,
    traces: LogTraces,
    filters: Vec<Arc<ArcSwap<EnvFilter>>>,
    select_spans: Arc<AtomicBool>,
}

/// The filter of one layer. A clone is for the same layer.
#[derive(Clone)]
pub(crate) struct LayerFilter {
    directives: Arc<ArcSwap<EnvFilter>>,
    /// Whether a directive selects spans. If not, enter and exit do not call the `EnvFilter`, which takes locks there.
    select_spans: Arc<AtomicBool>,
    traces: LogTraces,
}

impl LiveLogFilter {
    pub(crate) fn new(directives: &str, traces: LogTraces) -> Self {
        Self(Arc::new(Mutex::new(Directives {
            text: directives.to_owned(),
            traces,
            filters: Vec::new(),
            select_spans: Arc::new(AtomicBool::new(select_spans(directives))),
        })))
    }

    /// Returns the filter for a new layer.
    pub(crate) fn layer_filter(&self) -> LayerFilter {
        let mut directives = self.directives();
        let filter = builder().parse_lossy(&directives.text);
        let filter = Arc::new(ArcSwap::from_pointee(filter));
        directives.filters.push(Arc::clone(&filter));
        LayerFilter {
            directives: filter,
            select_spans: Arc::clone(&directives.select_spans),
            traces: directives.traces,
        }
    }

    /// Returns whether a layer uses the directives.
    pub(crate) fn is_used(&self) -> bool {
        !self.directives().filters.is_empty()
    }

    pub(crate) fn text(&self) -> String {
        self.directives().text.clone()
    }

    /// Replaces the directives. Returns the previous text, or `None` if the new text is invalid.
    pub(crate) fn set(&self, text: &str) -> Option<String> {
        let mut directives = self.directives();
        let new: Option<Vec<_>> = directives.filters.iter().map(|_| parse(text)).collect();
        for (filter, new) in directives.filters.iter().zip(new?) {
            filter.store(Arc::new(new));
        }
        directives.select_spans.store(select_spans(text), Relaxed);
        let previous = std::mem::replace(&mut directives.text, text.to_owned());
        // The layers of the application are called, which may read the directives.
        drop(directives);
        // `tracing` has cached which callsites the old filter disables.
        tracing::callsite::rebuild_interest_cache();
        Some(previous)
    }

    fn directives(&self) -> MutexGuard<'_, Directives> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Values of fields are compared as text, because a short regular expression can use all memory.
fn builder() -> Builder {
    EnvFilter::builder().with_regex(false)
}

fn parse(text: &str) -> Option<EnvFilter> {
    builder().parse(text).ok()
}

/// Returns whether directives select spans: `target[span{field=value}]=level`.
fn select_spans(directives: &str) -> bool {
    directives.contains('[')
}

impl fmt::Debug for LiveLogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LiveLogFilter").field(&self.text()).finish()
    }
}

impl LayerFilter {
    /// Returns the directives if one of them selects spans.
    fn span_directives(&self) -> Option<Guard<Arc<EnvFilter>>> {
        self.select_spans
            .load(Relaxed)
            .then(|| self.directives.load())
    }

    /// Returns whether a layer sees an event.
    pub(crate) fn enables_event<S>(&self, event: &Event<'_>, context: &Context<'_, S>) -> bool
    where
        S: Subscriber,
    {
        // A record of the crate `log` has its target in a field.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        self.enabled(metadata, context) && self.event_enabled(event, context)
    }

    /// Returns whether the lines of the current trace are written. Lines outside of a trace are always written.
    fn follows_trace(&self, event: &Event<'_>) -> bool {
        let metadata = event.metadata();
        if self.traces == LogTraces::All
            || *metadata.level() <= Level::WARN
            || metadata.target() == ACCESS_LOG
        {
            return true;
        }
        current_context::with_span(SpanContext::is_sampled).unwrap_or(true)
    }
}

impl<S> Filter<S> for LayerFilter
where
    S: Subscriber,
    EnvFilter: Filter<S>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        Filter::enabled(&**self.directives.load(), metadata, context)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        let interest = Filter::<S>::callsite_enabled(&**self.directives.load(), metadata);
        // In a debug build, `tracing_subscriber` panics if `event_enabled` refuses an event that `enabled` has not seen.
        match self.traces {
            LogTraces::Sampled if interest.is_always() => Interest::sometimes(),
            _ => interest,
        }
    }

    fn event_enabled(&self, event: &Event<'_>, context: &Context<'_, S>) -> bool {
        self.follows_trace(event)
            && Filter::event_enabled(&**self.directives.load(), event, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Filter::<S>::max_level_hint(&**self.directives.load())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(directives) = self.span_directives() {
            Filter::on_new_span(&**directives, attributes, id, context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(directives) = self.span_directives() {
            Filter::on_record(&**directives, id, values, context);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(directives) = self.span_directives() {
            Filter::on_enter(&**directives, id, context);
        }
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        if let Some(directives) = self.span_directives() {
            Filter::on_exit(&**directives, id, context);
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        if let Some(directives) = self.span_directives() {
            Filter::on_close(&**directives, id, context);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::Context as OtelContext;
    use opentelemetry::trace::{
        SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState,
    };
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;
    use crate::log_lines;
    use crate::options::LogFormat;
    use crate::test_output::TestOutput;

    #[test]
    fn directives_that_select_spans_apply_from_the_first_span_after_they_are_set() {
        let output = TestOutput::default();
        let writer = output.clone();
        let live = LiveLogFilter::new("info", LogTraces::All);
        let layer = log_lines::layer(LogFormat::Json, live.layer_filter(), move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let log = |text: &str| {
                tracing::info_span!("work", id = 1).in_scope(|| tracing::debug!("within {text}"));
                tracing::debug!("outside {text}");
            };
            log("info");
            assert!(live.set("info,[work{id=1}]=debug").is_some());
            log("selected");
            assert!(live.set("info").is_some());
            log("reset");
        });
        let text = output.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("within selected"), "{text}");
    }

    #[test]
    fn a_caller_does_not_remove_its_requests_from_the_access_log() {
        let output = TestOutput::default();
        let writer = output.clone();
        let live = LiveLogFilter::new("info", LogTraces::Sampled);
        let layer = log_lines::layer(LogFormat::Json, live.layer_filter(), move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let unsampled = SpanContext::new(
                TraceId::from(7),
                SpanId::from(7),
                TraceFlags::default(),
                true,
                TraceState::default(),
            );
            let context = OtelContext::new().with_remote_span_context(unsampled);
            let _attached = context.attach();
            tracing::info!("a line of a handler");
            tracing::info!(target: "tower_otel_trace::access_log", "request complete");
        });
        let text = output.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("request complete"), "{text}");
    }
}
