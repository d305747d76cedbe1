//! Without the feature `recorder-layer`, no `tracing` span is recorded without reading its fields.

use std::time::Instant;

use opentelemetry::Context;
use tracing::Dispatch;

use super::fields::SpanCallsite;
use crate::{
    parent::Parent,
    request::{RequestAttributes, ResolvedAttributes},
};

/// Returns `None` without calling `create`.
pub(super) fn open(
    _: &RequestAttributes<'_, '_>,
    _: &'static SpanCallsite,
    _: &Parent,
    _: Instant,
    _: impl FnOnce(&ResolvedAttributes<'_>, &Dispatch) -> tracing::Span,
) -> Option<(tracing::Span, Option<(Context, bool)>)> {
    None
}

/// Closes a span. [`open`] starts none.
pub(super) fn close(span: &mut tracing::Span, _: Instant) {
    *span = tracing::Span::none();
}

/// A span that [`open`] has started and that is entered.
pub(super) struct Entered;

impl Entered {
    pub(super) const fn new(_: &tracing::Span) -> Self {
        Self
    }
}
