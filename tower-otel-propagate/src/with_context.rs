//! Passes a context to other threads and through channels.

use opentelemetry::Context;

/// Returns a closure that calls `run` in the OpenTelemetry context that is current now. Use it for blocking tasks and threads.
///
/// ```
/// use opentelemetry::{Context, KeyValue, baggage::BaggageExt};
/// use tower_otel_propagate::in_current_context;
///
/// let cx = Context::new().with_baggage([KeyValue::new("tenant", "7")]);
/// let _guard = cx.attach();
///
/// let tenant = || Context::current().baggage().get("tenant").cloned();
/// let without = std::thread::spawn(tenant).join().unwrap();
/// let with = std::thread::spawn(in_current_context(tenant)).join().unwrap();
/// assert_eq!(without, None);
/// assert_eq!(with, Some("7".into()));
/// ```
pub fn in_current_context<T>(run: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let run = WithContext::current(run);
    move || run.run(|run| run())
}

/// A value with an OpenTelemetry context. Send it to another thread or task, for example through a channel.
///
/// ```
/// use opentelemetry::{Context, KeyValue, baggage::BaggageExt};
/// use tower_otel_propagate::WithContext;
///
/// let (sender, receiver) = std::sync::mpsc::channel();
/// let worker = std::thread::spawn(move || {
///     let job: WithContext<u32> = receiver.recv().unwrap();
///     job.run(|job| (job, Context::current().baggage().len()))
/// });
///
/// let cx = Context::new().with_baggage([KeyValue::new("tenant", "7")]);
/// sender.send(WithContext::new(cx, 42)).unwrap();
/// assert_eq!(worker.join().unwrap(), (42, 1));
/// ```
#[derive(Clone, Debug)]
pub struct WithContext<T> {
    context: Context,
    value: T,
}

impl<T> WithContext<T> {
    /// Creates a value with the current context.
    pub fn current(value: T) -> Self {
        Self::new(Context::current(), value)
    }

    /// Creates a value with this context.
    pub const fn new(context: Context, value: T) -> Self {
        Self { context, value }
    }

    /// Returns the context, for use as a parent or for a link.
    pub const fn context(&self) -> &Context {
        &self.context
    }

    /// Calls `with` with the value. The context is current during the call.
    pub fn run<R>(self, with: impl FnOnce(T) -> R) -> R {
        let Self { context, value } = self;
        let _guard = context.attach();
        with(value)
    }

    /// Returns the context and the value.
    pub fn into_parts(self) -> (Context, T) {
        let Self { context, value } = self;
        (context, value)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::thread;

    use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceState};

    use super::*;

    fn context() -> Context {
        let flags = TraceFlags::SAMPLED;
        let span = SpanContext::new(1.into(), 2.into(), flags, true, TraceState::NONE);
        Context::new().with_remote_span_context(span)
    }

    fn current() -> SpanId {
        Context::current().span().span_context().span_id()
    }

    #[test]
    fn a_closure_runs_in_the_context_that_was_current_when_it_was_created() {
        let run = {
            let _guard = context().attach();
            in_current_context(current)
        };
        let id = thread::spawn(move || (run(), current())).join();
        assert_eq!(id.unwrap(), (2.into(), SpanId::INVALID));
    }

    #[test]
    fn run_uses_the_value_in_its_context_and_leaves_the_context_afterwards() {
        let message = WithContext::new(context(), 7);
        assert_eq!(
            message.clone().run(|value| (value, current())),
            (7, 2.into())
        );
        assert_eq!(current(), SpanId::INVALID);
        let (cx, value) = message.into_parts();
        assert_eq!((cx.span().span_context().span_id(), value), (2.into(), 7));
    }
}
