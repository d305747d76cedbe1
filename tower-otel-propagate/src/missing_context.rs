//! Says, once, when a span is there and its context is not.

use opentelemetry::{Context, trace::TraceContextExt};

use crate::sync::{Ordering::Relaxed, StaticBool};

/// Whether this process has shown that its contexts can be found, or has been warned.
static PROCESS: Detection = Detection::new();

/// Looks at the context of a request that is about to be sent.
pub(crate) fn look(cx: &Context) {
    PROCESS.look(cx);
}

pub(crate) struct Detection {
    settled: StaticBool,
}

impl Detection {
    pub(crate) const fn new() -> Self {
        Self {
            settled: StaticBool::new(false),
        }
    }

    /// After the first context that was found, or the warning, this is a load of one byte.
    pub(crate) fn look(&self, cx: &Context) {
        if !self.settled.load(Relaxed) {
            self.settle(cx);
        }
    }

    /// A remote span is the caller's, merely passed on: a `tracing` span above it should have put
    /// its own there.
    #[cold]
    fn settle(&self, cx: &Context) {
        let span = cx.span();
        let span = span.span_context();
        if span.is_valid() && !span.is_remote() {
            self.settled.store(true, Relaxed);
        } else if !tracing::Span::current().is_none() && !self.settled.swap(true, Relaxed) {
            tracing::warn!(
                "a request is sent without trace headers of its own: a tracing span is current, \
                 but has no OpenTelemetry context. Are spans exported? If not, the subscriber has \
                 no `tracing_opentelemetry` layer with a tracer, or a filter hides the span from \
                 it. If they are, and `cargo tree -d -i opentelemetry` shows more than one version \
                 of the crate, each has a context of its own: use one. If they are, and there is \
                 one version, the layer was given `with_context_activation(false)`. This is said \
                 once."
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::{SpanContext, TraceFlags, TraceState};
    use tracing_subscriber::{Layer, layer::SubscriberExt};

    use super::*;

    /// Counts warnings of this module.
    #[derive(Clone, Default)]
    struct Warnings(Arc<Mutex<u32>>);

    impl<S: tracing::Subscriber> Layer<S> for Warnings {
        fn on_event(
            &self,
            event: &tracing::Event<'_>,
            _: tracing_subscriber::layer::Context<'_, S>,
        ) {
            if *event.metadata().level() == tracing::Level::WARN
                && event
                    .metadata()
                    .target()
                    .starts_with("tower_otel_propagate")
            {
                *self.0.lock().unwrap_or_else(|e| e.into_inner()) += 1;
            }
        }
    }

    fn warnings(test: impl FnOnce()) -> u32 {
        let warnings = Warnings::default();
        let subscriber = tracing_subscriber::registry().with(warnings.clone());
        tracing::subscriber::with_default(subscriber, test);
        *warnings.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn context(is_remote: bool) -> Context {
        Context::new().with_remote_span_context(SpanContext::new(
            1.into(),
            2.into(),
            TraceFlags::default(),
            is_remote,
            TraceState::NONE,
        ))
    }

    #[test]
    fn a_span_without_a_context_is_told_once() {
        let detection = Detection::new();
        let told = warnings(|| {
            let _span = tracing::info_span!("client").entered();
            detection.look(&Context::new());
            detection.look(&Context::new());
            detection.look(&context(false));
            detection.look(&Context::new());
        });
        assert_eq!(told, 1);
    }

    #[test]
    fn a_span_above_the_callers_context_without_its_own_is_told() {
        let detection = Detection::new();
        let told = warnings(|| {
            detection.look(&context(true));
            let _span = tracing::info_span!("client").entered();
            detection.look(&context(true));
        });
        assert_eq!(told, 1);
    }

    #[test]
    fn without_a_span_there_is_nothing_to_miss() {
        let detection = Detection::new();
        let told = warnings(|| detection.look(&Context::new()));
        assert_eq!(told, 0);
        assert_eq!(
            warnings(|| {
                let _span = tracing::info_span!("client").entered();
                detection.look(&Context::new());
            }),
            1,
            "it is still waited for"
        );
    }

    #[test]
    fn a_process_that_once_found_a_context_is_set_up() {
        let detection = Detection::new();
        let told = warnings(|| {
            let _span = tracing::info_span!("client").entered();
            detection.look(&context(false));
            detection.look(&Context::new());
        });
        assert_eq!(told, 0);
    }
}
