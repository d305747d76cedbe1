//! Without the feature `recorder-layer`, no `tracing` span is recorded without reading its fields.

use std::time::Instant;

use opentelemetry::Context;
use tower_otel_propagate::w3c::traceparent::TraceParent;
use tracing::{Dispatch, Span};

use super::fields::SpanCallsite;
use crate::{parent::Parent, request::RequestAttributes};

/// A layer that writes records. There is none.
pub(super) enum NoLayer {}

/// Returns `None`.
pub(super) const fn layer(_: &Dispatch) -> Option<&NoLayer> {
    None
}

pub(super) const fn open(
    layer: &NoLayer,
    _: &RequestAttributes<'_, '_>,
    _: &'static SpanCallsite,
    _: &Dispatch,
    _: &Parent,
    _: Instant,
) -> Option<(Span, Option<(Context, bool)>)> {
    match *layer {}
}

pub(super) const fn open_child(
    layer: &NoLayer,
    _: &RequestAttributes<'_, '_>,
    _: &'static SpanCallsite,
    _: &Dispatch,
    _: (&Context, TraceParent),
    _: Instant,
) -> Option<(Span, Option<(Context, bool)>)> {
    match *layer {}
}

/// Closes a span. [`open`] starts none.
pub(super) fn close(span: &mut Span, _: Instant) {
    *span = Span::none();
}

/// A span that [`open`] has started and that is entered.
pub(super) struct Entered;

impl Entered {
    pub(super) const fn new(_: &Span) -> Self {
        Self
    }
}
