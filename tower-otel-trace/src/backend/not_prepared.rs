//! Without the feature `recorder-layer`, no `tracing` span is recorded without reading its fields.

use std::time::Instant;

use tracing::Dispatch;

use super::fields::SpanCallsite;
use crate::{
    parent::Parent,
    request::{RequestAttributes, ResolvedAttributes},
};

/// Returns `None` without calling `create`.
pub(super) fn open(
    _: &RequestAttributes<'_, '_>,
    _: SpanCallsite,
    _: &Parent,
    _: Instant,
    _: impl FnOnce(&ResolvedAttributes<'_>, &Dispatch) -> tracing::Span,
) -> Option<(tracing::Span, Option<bool>)> {
    None
}

/// Does nothing, because [`open`] starts no span.
pub(super) const fn end(_: &tracing::Span, _: Instant) {}
