//! Layers that see the spans and events that a log filter enables, and a layer that disables those that no layer uses.
//!
//! `Filtered` of `tracing-subscriber` looks a span up, for each layer, whenever it is entered, exited or closed. These layers
//! have nothing to do then.

use std::marker::PhantomData;

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::FormattedFields;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use crate::line_buffer;
use crate::live_log_filter::LayerFilter;

/// Log lines with the fields of spans, which `N` formats.
pub(crate) struct FilteredLines<L, N> {
    filter: LayerFilter,
    lines: L,
    fields: PhantomData<fn() -> N>,
}

impl<L, N> FilteredLines<L, N> {
    pub(crate) const fn new(filter: LayerFilter, lines: L) -> Self {
        Self {
            filter,
            lines,
            fields: PhantomData,
        }
    }
}

impl<S, L, N> Layer<S> for FilteredLines<L, N>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
    N: 'static,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // The filter notes the spans that its directives select.
        Filter::<S>::callsite_enabled(&self.filter, metadata);
        Interest::always()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if self.filter.enabled(attributes.metadata(), &context) {
            self.filter.on_new_span(attributes, id, context.clone());
            self.lines.on_new_span(attributes, id, context);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let is_enabled = context
            .span(id)
            .is_some_and(|span| span.extensions().get::<FormattedFields<N>>().is_some());
        if is_enabled {
            self.filter.on_record(id, values, context.clone());
            self.lines.on_record(id, values, context);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if self.filter.enables_event(event, &context) {
            line_buffer::write(|| self.lines.on_event(event, context));
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.filter.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.filter.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.filter.on_close(id, context);
    }
}

/// Log records. Spans are not part of them.
#[cfg(feature = "logs")]
pub(crate) struct FilteredRecords<L> {
    pub(crate) filter: LayerFilter,
    pub(crate) records: L,
}

#[cfg(feature = "logs")]
impl<S, L> Layer<S> for FilteredRecords<L>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    L: Layer<S>,
{
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        Filter::<S>::callsite_enabled(&self.filter, metadata);
        Interest::always()
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.filter.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.filter.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if self.filter.enables_event(event, &context) {
            self.records.on_event(event, context);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        self.filter.on_enter(id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        self.filter.on_exit(id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        self.filter.on_close(id, context);
    }
}

/// Disables the spans and events that no layer of a subscriber uses.
pub(crate) struct UsedCallsites {
    /// The least severe level of spans and of their events.
    pub(crate) spans: LevelFilter,
    pub(crate) logs: Vec<LayerFilter>,
}

impl<S: Subscriber> Layer<S> for UsedCallsites {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if *metadata.level() <= self.spans {
            return Interest::always();
        }
        let interests = self.logs.iter();
        let interests = interests.map(|filter| Filter::<S>::callsite_enabled(filter, metadata));
        interests.fold(Interest::never(), |most, interest| {
            match most.is_never() || interest.is_always() {
                true => interest,
                false => most,
            }
        })
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        *metadata.level() <= self.spans
            || self
                .logs
                .iter()
                .any(|filter| filter.enabled(metadata, &context))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let mut levels = self.logs.iter().map(Filter::<S>::max_level_hint);
        levels.try_fold(self.spans, |max, level| Some(max.max(level?)))
    }
}

#[cfg(test)]
#[path = "filtered_logs_tests.rs"]
mod tests;
