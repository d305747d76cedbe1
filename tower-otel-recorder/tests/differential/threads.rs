//! Runs a program step by step on several threads.

use std::sync::mpsc;

use opentelemetry::{
    Context, ContextGuard, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, Status, TraceContextExt, TraceState},
};
use tracing::{
    Span, debug, debug_span, dispatcher,
    field::{self, Empty},
    info, info_span,
    span::EnteredSpan,
};

use crate::{
    export::{REMOTE, Running, Seen},
    program::{Callsite, Change, Operation, Parent, Program, THREADS},
};

/// What belongs to one thread.
#[derive(Default)]
struct Local {
    entered: Vec<(usize, EnteredSpan)>,
    attached: Vec<ContextGuard>,
}

/// What all threads use, one after the other.
struct Global<'a> {
    program: &'a Program,
    running: &'a Running,
    /// `None` after the handle was dropped.
    spans: Vec<Option<Span>>,
    is_seen: Vec<bool>,
    is_sampled: Vec<bool>,
    seen: Vec<Seen<SpanId>>,
}

/// Runs a program and returns what it has seen.
pub(crate) fn run(program: &Program, running: &Running) -> Vec<Seen<SpanId>> {
    let mut global = Global::new(program, running);
    std::thread::scope(|scope| {
        let threads = [(); THREADS].map(|()| {
            let (call, calls) = mpsc::channel::<(usize, Option<Operation>, Global<'_>)>();
            let (answer, answers) = mpsc::channel();
            scope.spawn(move || {
                let mut local = Local::default();
                while let Ok((step, operation, mut global)) = calls.recv() {
                    dispatcher::with_default(&global.running.dispatch, || match operation {
                        Some(operation) => global.step(step, operation, &mut local),
                        None => local.end(),
                    });
                    answer.send(global).unwrap();
                }
            });
            (call, answers)
        });
        let steps = program.steps.iter().enumerate();
        let steps = steps.map(|(step, (thread, operation))| (step, *thread, Some(*operation)));
        let ends = (0..THREADS).map(|thread| (usize::MAX, thread, None));
        for (step, thread, operation) in steps.chain(ends) {
            let (call, answers) = &threads[thread];
            let moved = std::mem::replace(&mut global, Global::new(program, running));
            call.send((step, operation, moved)).unwrap();
            global = answers.recv().unwrap();
        }
    });
    global.seen
}

impl Local {
    fn end(&mut self) {
        // In the order of their entries, so that inner spans are exited last.
        self.entered.drain(..).for_each(drop);
        self.attached.drain(..).for_each(drop);
    }
}

impl<'a> Global<'a> {
    const fn new(program: &'a Program, running: &'a Running) -> Self {
        Self {
            program,
            running,
            spans: Vec::new(),
            is_seen: Vec::new(),
            is_sampled: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn span(&self, index: usize) -> Option<&Span> {
        self.spans.get(index)?.as_ref()
    }

    /// Replaces a parent that is hidden or closed.
    fn parent(&self, parent: Parent) -> Parent {
        match parent {
            Parent::Explicit(index) if self.span(index).is_none() || !self.is_seen[index] => {
                Parent::Contextual
            }
            parent => parent,
        }
    }

    fn step(&mut self, step: usize, operation: Operation, local: &mut Local) {
        match operation {
            Operation::Open(callsite, parent, value) => {
                let parent = self.parent(parent);
                let current = Context::current().span().span_context().clone();
                self.is_sampled.push(match parent {
                    Parent::Contextual => current.is_sampled() || !current.is_valid(),
                    Parent::Explicit(index) => self.is_sampled[index],
                    Parent::Root => true,
                });
                let span = self.open(callsite, parent, value);
                self.spans.push(Some(span));
                self.is_seen.push(callsite.is_seen(self.program.filter));
            }
            Operation::Enter(index) => {
                if let Some(span) = self.span(index) {
                    local.entered.push((index, span.clone().entered()));
                }
            }
            Operation::Exit(index) => {
                let mut entered = local.entered.iter();
                if let Some(at) = entered.rposition(|(entered, _)| *entered == index) {
                    drop(local.entered.remove(at));
                }
            }
            Operation::Record(index, value) => {
                if let Some(span) = self.span(index) {
                    span.record("late", value);
                    span.record("text", field::display(value));
                }
            }
            Operation::Fail(index) => {
                if let Some(span) = self.span(index) {
                    span.record("otel.status_code", "ERROR");
                }
            }
            Operation::Event(callsite, parent, value) => self.event(callsite, parent, value),
            Operation::ErrorEvent => tracing::error!(error = %"bad"),
            // tracing-opentelemetry locks such a span twice.
            Operation::Follow(index, cause) if index == cause => {}
            Operation::Follow(index, cause) => {
                if let (Some(span), Some(cause)) = (self.span(index), self.span(cause)) {
                    span.follows_from(cause);
                }
            }
            // The fields of such a span are not recorded.
            Operation::SetParent(index, _) if self.is_sampled.get(index) == Some(&false) => {}
            Operation::SetParent(index, sampled) => {
                let set = self
                    .span(index)
                    .map(|span| self.running.set_parent(span, remote(sampled)));
                if self.is_seen.get(index) == Some(&true)
                    && let Some(set_parent) = set
                {
                    self.is_sampled[index] = if set_parent { sampled } else { true };
                    self.seen.push(Seen::SetParent { set_parent });
                }
            }
            Operation::Close(index) => {
                if let Some(span) = self.spans.get_mut(index) {
                    *span = None;
                }
            }
            Operation::AttachRemote(sampled) => local.attached.push(remote(sampled).attach()),
            Operation::Detach => drop(local.attached.pop()),
            Operation::Change(change) => apply(change),
        }
        let span = Context::current().span().span_context().span_id();
        self.seen.push(Seen::Current { step, span });
    }

    fn open(&self, callsite: Callsite, parent: Parent, value: u64) -> Span {
        let number = i64::try_from(self.spans.len()).unwrap();
        macro_rules! open {
            ($open:ident, $name:literal $(, $field:ident . $key:ident = $text:expr)*) => {
                match parent {
                    Parent::Contextual => $open!(
                        $name, number, value, text = Empty, late = Empty,
                        otel.status_code = Empty $(, $field.$key = $text)*
                    ),
                    Parent::Explicit(index) => $open!(
                        parent: self.span(index).and_then(Span::id),
                        $name, number, value, text = Empty, late = Empty,
                        otel.status_code = Empty $(, $field.$key = $text)*
                    ),
                    Parent::Root => $open!(
                        parent: None,
                        $name, number, value, text = Empty, late = Empty,
                        otel.status_code = Empty $(, $field.$key = $text)*
                    ),
                }
            };
        }
        match callsite {
            Callsite::Info => open!(info_span, "info"),
            Callsite::Debug => open!(debug_span, "debug"),
            Callsite::Otel => open!(
                info_span,
                "otel",
                otel.name = format!("name {value}"),
                otel.kind = "consumer"
            ),
        }
    }

    fn event(&self, callsite: Callsite, parent: Parent, value: u64) {
        macro_rules! event {
            ($event:ident, $text:literal) => {
                match parent {
                    Parent::Contextual => $event!(value, flag = true, $text),
                    Parent::Explicit(index) => {
                        if let Some(span) = self.span(index) {
                            $event!(parent: span.id(), value, ratio = 0.5, $text);
                        }
                    }
                    Parent::Root => $event!(parent: None, value, $text),
                }
            };
        }
        match callsite {
            Callsite::Info => event!(info, "info"),
            Callsite::Debug => event!(debug, "debug {value}"),
            Callsite::Otel => info!(error = %"refused", "info with an error"),
        }
    }
}

fn remote(sampled: bool) -> Context {
    let flags = TraceFlags::default().with_sampled(sampled);
    let (trace, span) = (TraceId::from(7), SpanId::from(REMOTE));
    let span = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    Context::new().with_remote_span_context(span)
}

fn apply(change: Change) {
    let context = Context::current();
    let span = context.span();
    match change {
        Change::Name => span.update_name("renamed"),
        Change::Attribute => span.set_attribute(KeyValue::new("late", "api")),
        Change::Status => span.set_status(Status::error("api")),
        Change::Event => span.add_event("api", vec![KeyValue::new("number", 1)]),
        Change::Link => span.add_link(remote(true).span().span_context().clone(), Vec::new()),
    }
}
