//! The backend that opens `tracing` spans.

use std::{fmt, mem, time::Instant};

use opentelemetry::{
    Context, ContextGuard, SpanId,
    trace::{SpanContext, TraceContextExt},
};
use tower_otel_propagate::w3c::traceparent::TraceParent;
use tower_otel_semconv::attribute;
use tracing::{
    Dispatch, dispatcher,
    field::{self, Field, FieldSet},
    level_filters::LevelFilter,
};

use super::{
    create,
    fields::{SpanCallsite, otel},
    open_span::{LateAttribute, LateValue, OpenSpan, StartSpan},
    prepared,
};
use crate::{
    connection, kept, no_subscriber, parent::Parent, request::RequestAttributes, thread_exit,
};

/// Opens `tracing` spans with the level `INFO` and the target `tower_otel_trace`. This is the default.
///
/// Log lines belong to these spans. The layer of tower-otel-recorder, or tracing-opentelemetry, exports them. Without a
/// subscriber a span costs one comparison, and the first span writes a message to the standard error.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingBackend(());

/// An open `tracing` span.
#[derive(Debug)]
pub struct TracingSpan {
    span: tracing::Span,
    state: State,
    // `None` until the span is entered first, unless the layer has written its record.
    is_held: Option<bool>,
}

/// The state of a `tracing` span.
#[derive(Debug, Default)]
enum State {
    #[default]
    Plain,
    // Attached before the span is entered. So a span that is filtered out, or that no OpenTelemetry layer
    // records, still propagates the context of its request. Removed after the span has activated its own
    // context, which includes this one.
    Below(Context),
    // The layer has written the record of the span, and this is its context. Attached before the span is entered.
    Prepared(Context),
    // A prepared span has ended. It is closed when it is dropped.
    Ended(Instant),
}

impl From<Option<Context>> for State {
    #[inline]
    fn from(base_context: Option<Context>) -> Self {
        base_context.map_or(Self::Plain, Self::Below)
    }
}

impl StartSpan for TracingBackend {
    type Span = TracingSpan;

    #[inline]
    fn start(
        &self,
        request: &RequestAttributes<'_, '_>,
        parent: Parent,
        at: Instant,
    ) -> TracingSpan {
        match parent {
            Parent::Span { base, span } => start_remote(request, (base, span), at),
            parent => start_any(request, parent, at),
        }
    }

    fn disabled(&self, parent: Parent) -> TracingSpan {
        let mut span = TracingSpan::below(parent, tracing::Span::none());
        span.is_held = Some(false);
        span
    }

    fn start_connection(&self, request: Option<SpanContext>) -> TracingSpan {
        let span = tracing::info_span!(
            target: "tower_otel_trace",
            parent: None,
            connection::NAME,
            { otel::KIND } = "internal",
            { attribute::ERROR_TYPE } = field::Empty,
            { otel::STATUS_CODE } = field::Empty,
        );
        let span = TracingSpan {
            span,
            state: State::Below(Context::new()),
            is_held: Some(false),
        };
        if let Some((request, context)) = request.zip(span.context()) {
            context.span().add_link(request, Vec::new());
        }
        span
    }

    /// Sets the end of a span whose record the layer has written. Other spans end at their last exit, and the inner service has
    /// run inside the span until now.
    #[inline]
    fn end(&self, span: &mut TracingSpan, at: Instant) {
        if let State::Prepared(context) = &mut span.state {
            let context = mem::take(context);
            // The replaced state has nothing to drop.
            mem::forget(mem::replace(&mut span.state, State::Ended(at)));
            drop(context);
        }
    }
}

/// Starts the span of a request with a remote parent.
#[inline(always)]
fn start_remote(
    request: &RequestAttributes<'_, '_>,
    (base, span): (Context, TraceParent),
    at: Instant,
) -> TracingSpan {
    if LevelFilter::current() < LevelFilter::INFO {
        return unsubscribed(Parent::Span { base, span });
    }
    let callsite = SpanCallsite::of(request);
    // Cloned, because the current subscriber cannot be used for a span while it is borrowed.
    let subscriber = dispatcher::get_default(Dispatch::clone);
    let Some(layer) = prepared::layer(&subscriber) else {
        return create(request, callsite, Parent::Span { base, span });
    };
    match prepared::open_child(layer, request, callsite, &subscriber, (&base, span), at) {
        Some((span, Some((context, is_held)))) => TracingSpan::prepared(span, context, is_held),
        Some((opened, None)) => TracingSpan::below(Parent::Span { base, span }, opened),
        // Not `start_any`, which would look up the template again.
        None => create(request, callsite, Parent::Span { base, span }),
    }
}

/// Starts the span of a request.
#[inline(never)]
fn start_any(request: &RequestAttributes<'_, '_>, parent: Parent, at: Instant) -> TracingSpan {
    if LevelFilter::current() < LevelFilter::INFO {
        return unsubscribed(parent);
    }
    let callsite = SpanCallsite::of(request);
    let subscriber = dispatcher::get_default(Dispatch::clone);
    let opened = prepared::layer(&subscriber)
        .and_then(|layer| prepared::open(layer, request, callsite, &subscriber, &parent, at));
    match opened {
        Some((span, Some((context, is_held)))) => TracingSpan::prepared(span, context, is_held),
        Some((span, None)) => TracingSpan::below(parent, span),
        None => create(request, callsite, parent),
    }
}

/// Returns a span that no subscriber records.
#[inline(never)]
fn unsubscribed(parent: Parent) -> TracingSpan {
    no_subscriber::check();
    TracingSpan::below(parent, tracing::Span::none())
}

/// Creates the span of a request whose record the layer has not written.
#[inline(never)]
fn create(
    request: &RequestAttributes<'_, '_>,
    callsite: &'static SpanCallsite,
    parent: Parent,
) -> TracingSpan {
    TracingSpan::created_below(parent, || match callsite.is_enabled() {
        true => dispatcher::get_default(|subscriber| {
            create::resolved(request, &request.resolve(), callsite, subscriber)
        }),
        false => tracing::Span::none(),
    })
}

/// Returns the field with a key.
#[inline]
fn field(fields: &FieldSet, key: &'static str) -> Option<Field> {
    fields.iter().find(|field| is_same_key(field.name(), key))
}

/// Returns whether two keys are equal. Equal keys usually have the same address.
#[inline]
fn is_same_key(a: &'static str, b: &'static str) -> bool {
    std::ptr::eq(a, b) || a == b
}

impl TracingSpan {
    /// Returns a span whose record the layer has written.
    #[inline(always)]
    const fn prepared(span: tracing::Span, context: Context, is_held: bool) -> Self {
        Self {
            span,
            state: State::Prepared(context),
            is_held: Some(is_held),
        }
    }

    /// Returns a span that was created outside the context of its parent.
    #[inline(never)]
    fn below(parent: Parent, span: tracing::Span) -> Self {
        Self {
            span,
            state: parent.into_context().0.into(),
            is_held: None,
        }
    }

    /// Returns a span that `create` creates in the context of its parent.
    #[inline(always)]
    fn created_below(parent: Parent, create: impl FnOnce() -> tracing::Span) -> Self {
        let (base_context, link) = parent.into_context();
        let span = {
            let _attached = base_context.clone().map(Context::attach);
            create()
        };
        let span = Self {
            span,
            state: base_context.into(),
            is_held: None,
        };
        if let Some((link, context)) = link.and_then(|link| Some((link, span.context()?))) {
            context.span().add_link(link, Vec::new());
        }
        span
    }

    /// Returns the context that is current inside the span. Returns `None` if entering the span activates none.
    fn entered_context(&self) -> Option<Context> {
        let base_context = match &self.state {
            State::Prepared(context) => return Some(context.clone()),
            State::Below(context) => context.clone(),
            // The current context is replaced even by an empty one, because the span may already be current.
            State::Plain | State::Ended(_) => Context::new(),
        };
        let _attached = base_context.attach();
        let outside = Context::map_current(span_id);
        let _span = self.span.enter();
        Context::map_current(|current| (span_id(current) != outside).then(|| current.clone()))
    }

    /// Records all values at once, because every layer of the subscriber looks the span up and locks it for each
    /// call.
    #[inline]
    fn record<const N: usize>(&self, values: [LateAttribute<'_>; N]) {
        let Some(fields) = self.span.metadata().map(|metadata| metadata.fields()) else {
            return;
        };
        let Some(unset) = fields.iter().next() else {
            return;
        };
        let values = values.map(|(key, value)| (value.and_then(|_| field(fields, key)), value));
        let values = values.each_ref().map(|(field, value)| match field {
            Some(field) => (field, value.as_ref().map(LateValue::as_field)),
            None => (&unset, None),
        });
        self.span.record_all(&fields.value_set(&values));
    }

    /// Closes the span, which ends it, unless it has children that are open.
    #[inline]
    fn close(&mut self) {
        match self.state {
            State::Ended(at) => prepared::close(&mut self.span, at),
            _ => self.span = tracing::Span::none(),
        }
    }
}

impl Drop for TracingSpan {
    #[inline]
    fn drop(&mut self) {
        if let State::Ended(at) = self.state {
            prepared::close(&mut self.span, at);
        }
    }
}

impl TracingSpan {
    /// Enters a span whose base context is attached until the span has activated its own.
    #[inline(never)]
    fn enter_below(&mut self) -> Entered<'_> {
        let base_context = match mem::take(&mut self.state) {
            State::Below(context) => context,
            _ => Context::current(),
        };
        let outside = span_id(&base_context);
        let base_context = base_context.attach();
        let span = self.span.enter();
        Context::map_current(|current| match span_id(current) == outside {
            true => self.state = State::Below(current.clone()),
            false => self.is_held = Some(kept::is_held(current)),
        });
        Entered {
            _span: span,
            _prepared: None,
            _context: Some(base_context),
        }
    }
}

impl LateValue<'_> {
    fn as_field(&self) -> &dyn field::Value {
        match self {
            Self::Text(value) | Self::Static(value) => value,
            Self::Int(value) => value,
        }
    }
}

impl OpenSpan for TracingSpan {
    type Entered<'a> = Entered<'a>;

    #[inline]
    fn enter(&mut self) -> Entered<'_> {
        match &self.state {
            State::Prepared(context) => {
                let context = context.clone().attach();
                let prepared = prepared::Entered::new(&self.span);
                Entered {
                    _span: self.span.enter(),
                    _prepared: Some(prepared),
                    _context: Some(context),
                }
            }
            State::Below(_) => self.enter_below(),
            State::Plain | State::Ended(_) => {
                let span = self.span.enter();
                if self.is_held.is_none() {
                    self.is_held = read_held();
                }
                Entered {
                    _span: span,
                    _prepared: None,
                    _context: None,
                }
            }
        }
    }

    #[inline]
    fn is_held(&self) -> bool {
        self.is_held == Some(true)
    }

    /// The span ends when it is dropped, unless it has children that are open.
    fn show_kept(&mut self) {
        let Some(context) = self.context() else {
            return;
        };
        self.close();
        self.state = State::Below(kept::exported_context(&context).unwrap_or(context));
    }

    fn is_recording(&self) -> bool {
        !self.span.is_disabled()
    }

    #[inline]
    fn set_int(&mut self, key: &'static str, value: i64) {
        if let Some(fields) = self.span.metadata().map(|metadata| metadata.fields())
            && let Some(field) = field(fields, key)
        {
            let value: &dyn field::Value = &value;
            self.span
                .record_all(&fields.value_set(&[(&field, Some(value))]));
        }
    }

    fn set_all<const N: usize>(&mut self, attributes: [LateAttribute<'_>; N]) {
        self.record(attributes);
    }

    fn context(&self) -> Option<Context> {
        thread_exit::unless_exiting(|| self.entered_context())?
    }

    fn fail(&mut self, error: &'static str) {
        self.record([
            (attribute::ERROR_TYPE, Some(LateValue::Static(error))),
            (otel::STATUS_CODE, Some(LateValue::Static("ERROR"))),
        ]);
    }
}

/// Returns whether the span of the current context is held.
#[inline(never)]
fn read_held() -> Option<bool> {
    Some(Context::map_current(kept::is_held))
}

fn span_id(context: &Context) -> SpanId {
    context.span().span_context().span_id()
}

/// An entered span. It is exited before its context, or the one below it, is detached.
pub struct Entered<'a> {
    // Fields are dropped in the order of declaration.
    _span: tracing::span::Entered<'a>,
    _prepared: Option<prepared::Entered>,
    _context: Option<ContextGuard>,
}

impl fmt::Debug for Entered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Entered")
    }
}
