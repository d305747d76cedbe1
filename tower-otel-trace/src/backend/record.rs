//! Spans as compact records of a recorder.

use std::{fmt, net::IpAddr, time::Instant};

use opentelemetry::{
    Context, ContextGuard,
    trace::{SpanKind, Status, TraceContextExt},
};
use tower_otel_core::Kind;
use tower_otel_propagate::Extracted;
use tower_otel_recorder::{ActiveSpan, AttributeBuffer, Recorder, RecorderTracer, SpanStart};
use tower_otel_semconv::attribute;

use super::{
    Attribute, Attributes, Backend, Parent, Span, Value,
    opentelemetry::{for_samplers, rest},
    scope,
};
use crate::facts::Facts;

/// Records the span of each exchange with a [`Recorder`].
///
/// The span is current in the OpenTelemetry context while the service inside runs. Handlers can change it there, and spans
/// that they start are its children.
#[derive(Clone, Debug)]
pub struct Record(RecorderTracer);

impl Record {
    pub(crate) fn new(recorder: &Recorder) -> Self {
        Self(recorder.tracer_with_scope(scope()))
    }
}

impl Backend for Record {
    type Span = RecordSpan;

    fn start(&self, facts: &Facts<'_>, parent: Parent, at: Instant) -> RecordSpan {
        // A remote span needs no context of its own: the context of the new span replaces it.
        let (base, remote, link) = match parent {
            Parent::Remote(Extracted::Span(remote)) => (None, Some(remote), None),
            parent => {
                let (base, link) = parent.beneath();
                (base, None, link)
            }
        };
        let current;
        let start = SpanStart {
            kind: match facts.kind() {
                Kind::Server => SpanKind::Server,
                Kind::Client => SpanKind::Client,
            },
            base: match &base {
                Some(base) => base,
                None => {
                    current = Context::current();
                    &current
                }
            },
            remote: remote.clone(),
            link,
            at,
        };
        let sampler_input = || {
            let mut attributes = Vec::new();
            for_samplers(facts, &mut attributes);
            (facts.name(), attributes)
        };
        let started = self.0.start(start, sampler_input, |record| {
            match facts.kept_name() {
                Some(name) => record.set_static_name(name),
                None => record.set_name(&facts.name()),
            }
            for_samplers(facts, record.attributes());
            rest(facts, record.attributes());
        });
        let without_span = || match remote {
            Some(remote) => Some(Context::map_current(|current| {
                current.with_remote_span_context(remote)
            })),
            None => base,
        };
        RecordSpan {
            context: started.context.or_else(without_span),
            span: started.span,
        }
    }

    fn none(&self, parent: Parent) -> RecordSpan {
        RecordSpan {
            context: parent.beneath().0,
            span: None,
        }
    }

    fn end(&self, span: &mut RecordSpan, at: Instant) {
        if let Some(span) = span.span.take() {
            span.end(&self.0, at);
        }
    }
}

/// The recorded span of an exchange, or the context of an exchange that is not recorded.
pub struct RecordSpan {
    /// Attached while the span is entered. `None` if there is nothing to attach.
    context: Option<Context>,
    /// `None` if the span is not recorded or has ended.
    span: Option<ActiveSpan>,
}

impl Span for RecordSpan {
    type Entered<'a> = Option<ContextGuard>;

    fn enter(&mut self) -> Option<ContextGuard> {
        self.context.clone().map(Context::attach)
    }

    fn is_recording(&self) -> bool {
        self.span.is_some()
    }

    fn set_all<const N: usize>(&mut self, attributes: [Attribute<'_>; N]) {
        let buffer = self.span.as_mut().and_then(ActiveSpan::attributes);
        let Some(buffer) = buffer else { return };
        for (key, value) in attributes {
            match value {
                None => {}
                Some(Value::Str(value)) => buffer.text(key, value),
                Some(Value::Fixed(value)) => buffer.fixed(key, value),
                Some(Value::Int(value)) => buffer.int(key, value),
            }
        }
    }

    fn fail(&mut self, error: &'static str) {
        self.set(attribute::ERROR_TYPE, Value::Fixed(error));
        if let Some(span) = &mut self.span {
            span.set_status(Status::error(""));
        }
    }

    fn context(&self) -> Option<Context> {
        self.span.as_ref().and(self.context.clone())
    }
}

impl fmt::Debug for RecordSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSpan")
            .field("recording", &self.is_recording())
            .finish_non_exhaustive()
    }
}

impl Attributes for AttributeBuffer {
    #[inline]
    fn text(&mut self, key: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    #[inline]
    fn owned(&mut self, key: &'static str, value: Option<String>) {
        if let Some(value) = value {
            self.text(key, &value);
        }
    }

    #[inline]
    fn fixed(&mut self, key: &'static str, value: Option<&'static str>) {
        if let Some(value) = value {
            self.fixed(key, value);
        }
    }

    #[inline]
    fn int(&mut self, key: &'static str, value: Option<i64>) {
        if let Some(value) = value {
            self.int(key, value);
        }
    }

    #[inline]
    fn address(&mut self, key: &'static str, value: Option<IpAddr>) {
        if let Some(value) = value {
            self.address(key, value);
        }
    }

    fn route(&mut self, key: &'static str, facts: &Facts<'_>) {
        match facts.kept_route() {
            Some(route) => self.fixed(key, route),
            None => Attributes::text(self, key, facts.route()),
        }
    }
}
