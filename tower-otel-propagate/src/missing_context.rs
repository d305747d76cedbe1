//! A warning, logged once, for requests that are sent without a span's context.

use opentelemetry::{Context, trace::TraceContextExt};

use crate::sync::{Ordering::Relaxed, StaticBool};

/// The check of this process.
static PROCESS: MissingContextCheck = MissingContextCheck::new();

/// Checks the current context before a request is sent.
#[inline]
pub(crate) fn check() {
    if !PROCESS.done.load(Relaxed) {
        // A clone: the subscriber that logs the warning may attach a context.
        PROCESS.check(&Context::current());
    }
}

/// Logs a warning if a `tracing` span is current but its context is not. Stops checking after the
/// warning, or after the first context of a span of this process.
pub(crate) struct MissingContextCheck {
    done: StaticBool,
}

impl MissingContextCheck {
    /// Creates a check that has not seen a context.
    pub(crate) const fn new() -> Self {
        Self {
            done: StaticBool::new(false),
        }
    }

    /// Checks one context. After the check is done, a call only loads one byte.
    pub(crate) fn check(&self, cx: &Context) {
        if !self.done.load(Relaxed) {
            self.check_spans(cx);
        }
    }

    /// Checks the span of a context. A remote span is the caller's own; a current `tracing` span should have replaced it.
    #[cold]
    fn check_spans(&self, cx: &Context) {
        let span = cx.span();
        let span = span.span_context();
        if span.is_valid() && !span.is_remote() {
            self.done.store(true, Relaxed);
        } else if !tracing::Span::current().is_none() && !self.done.swap(true, Relaxed) {
            tracing::warn!(
                "request sent without the context of the current tracing span: the span has no \
                 OpenTelemetry context. If spans are not exported: add a `tracing_opentelemetry` \
                 layer with a tracer to the subscriber, or allow the span in that layer's filter. \
                 If spans are exported and `cargo tree -d -i opentelemetry` shows several versions \
                 of the crate: depend on one version, because each has its own current context. \
                 Otherwise: remove `with_context_activation(false)` from the layer. This warning \
                 is logged once."
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

    /// Counts the warnings of this crate.
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
    fn a_span_without_a_context_is_warned_about_once() {
        let missing = MissingContextCheck::new();
        let logged = warnings(|| {
            let _span = tracing::info_span!("client").entered();
            missing.check(&Context::new());
            missing.check(&Context::new());
            missing.check(&context(false));
            missing.check(&Context::new());
        });
        assert_eq!(logged, 1);
    }

    #[test]
    fn a_span_without_its_own_context_inside_the_callers_context_is_warned_about() {
        let missing = MissingContextCheck::new();
        let logged = warnings(|| {
            missing.check(&context(true));
            let _span = tracing::info_span!("client").entered();
            missing.check(&context(true));
        });
        assert_eq!(logged, 1);
    }

    #[test]
    fn a_request_outside_of_any_span_is_not_warned_about() {
        let missing = MissingContextCheck::new();
        let logged = warnings(|| missing.check(&Context::new()));
        assert_eq!(logged, 0);
        assert_eq!(
            warnings(|| {
                let _span = tracing::info_span!("client").entered();
                missing.check(&Context::new());
            }),
            1,
            "the check goes on"
        );
    }

    #[test]
    fn nothing_is_warned_about_after_a_span_with_a_context() {
        let missing = MissingContextCheck::new();
        let logged = warnings(|| {
            let _span = tracing::info_span!("client").entered();
            missing.check(&context(false));
            missing.check(&Context::new());
        });
        assert_eq!(logged, 0);
    }
}
