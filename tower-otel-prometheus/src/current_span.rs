//! The current OpenTelemetry span.

use std::{cell::Cell, panic::catch_unwind};

use opentelemetry::{Context, trace::TraceContextExt};

use crate::exemplar::ExportedSpan;

#[derive(Clone, Copy)]
enum ThreadState {
    /// No context was read on this thread.
    Unknown,
    Running,
    Exiting,
}

thread_local! {
    /// Has no destructor, so it can be read at any time.
    static STATE: Cell<ThreadState> = const { Cell::new(ThreadState::Unknown) };
    /// First used after the current context, so that it is destroyed before the context.
    static SENTINEL: Sentinel = const { Sentinel };
}

struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {
        STATE.set(ThreadState::Exiting);
    }
}

/// Returns the current span if it is sampled and was started in this process.
///
/// Returns `None` while the thread exits: the current context is a thread-local variable that may have
/// been destroyed, and a panic in another destructor would abort the process.
pub(crate) fn exported_span() -> Option<ExportedSpan> {
    match STATE.get() {
        ThreadState::Running => read_context(),
        ThreadState::Unknown => read_first(),
        ThreadState::Exiting => None,
    }
}

#[cold]
fn read_first() -> Option<ExportedSpan> {
    let span = catch_unwind(read_context);
    let is_running = span.is_ok() && SENTINEL.try_with(|_| ()).is_ok();
    STATE.set(match is_running {
        true => ThreadState::Running,
        false => ThreadState::Exiting,
    });
    span.ok().flatten()
}

fn read_context() -> Option<ExportedSpan> {
    Context::map_current(|context| {
        if !context.has_active_span() {
            return None;
        }
        let span = context.span();
        let span = span.span_context();
        let is_exported = span.is_sampled() && !span.is_remote() && span.is_valid();
        is_exported.then(|| ExportedSpan {
            trace_id: span.trace_id().to_bytes(),
            span_id: span.span_id().to_bytes(),
        })
    })
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

    use super::*;

    fn within(flags: TraceFlags, is_remote: bool) -> Option<ExportedSpan> {
        let state = TraceState::NONE;
        let (trace_id, span_id) = (TraceId::from(1), SpanId::from(2));
        let span = SpanContext::new(trace_id, span_id, flags, is_remote, state);
        // The method adds any span context unchanged, even one that is not remote.
        let _attached = Context::new().with_remote_span_context(span).attach();
        exported_span()
    }

    #[test]
    fn only_a_sampled_span_of_this_process_is_exported() {
        assert_eq!(exported_span(), None);
        assert_eq!(within(TraceFlags::NOT_SAMPLED, false), None);
        assert_eq!(within(TraceFlags::SAMPLED, true), None);
        let span = within(TraceFlags::SAMPLED, false);
        let ids = span.map(|span| (span.trace_id[15], span.span_id[7]));
        assert_eq!(ids, Some((1, 2)));
    }
}
