//! Access to the OpenTelemetry data of a `tracing` span.

use std::time::Instant;

use opentelemetry::{
    Context, Key, KeyValue, Value,
    trace::{SpanContext, Status},
};
use tracing::{Metadata, Span};
use tracing_subscriber::{Registry, registry::LookupSpan};

use super::{options::RecorderLayer, span_state::SpanState};
use crate::{extras::Extras, limits::Limits};

/// Reads and changes `tracing` spans that a [`RecorderLayer`] records.
///
/// Changes have no effect on a span that the layer does not record: a span that a filter or the level hides, or an unsampled
/// span that is not [held](crate::RecorderBuilder::keep).
///
/// A layer inside a `tracing_subscriber::reload::Layer` is not found. Changes then have no effect, and
/// [`context`](Self::context) returns an empty context.
///
/// # Examples
///
/// ```
/// use opentelemetry::Context;
/// use tower_otel_recorder::RecorderSpanExt;
///
/// fn consume(sender: Context, order: i64) {
///     let span = tracing::info_span!("consume", order);
///     // The span has not been entered yet.
///     if let Err(error) = span.set_parent(sender) {
///         tracing::debug!("{error}");
///     }
///     span.in_scope(|| { /* ... */ });
/// }
/// ```
pub trait RecorderSpanExt: sealed::Sealed {
    /// Returns the OpenTelemetry context of the span. Returns an empty context if the span has none, because a filter or
    /// the level hides it, or the recorder is shut down.
    fn context(&self) -> Context {
        let context = with_layer(self.as_span(), |layer, id| {
            layer.spans.open.with(id, SpanState::use_context)
        });
        context.unwrap_or_default()
    }

    /// Sets the parent to the span of a context, and samples the span again.
    ///
    /// If the span was created without a parent, it keeps the fields of its creation. If it was created as a child of an
    /// unsampled span, these fields are lost: attach the context before creating such a span instead.
    ///
    /// # Errors
    ///
    /// Returns [`SetParentError::NotRecorded`] if no [`RecorderLayer`] records the span. Returns
    /// [`SetParentError::ContextInUse`] if its context has been used: the span was entered, has children, or is the target of
    /// a link. The parent is then unchanged.
    fn set_parent(&self, parent: Context) -> Result<(), SetParentError> {
        let set = self.as_span().with_subscriber(|(id, dispatch)| {
            let layer = dispatch.downcast_ref::<RecorderLayer>()?;
            let metadata = dispatch.downcast_ref::<Registry>()?.span(id)?.metadata();
            Some(layer.set_parent(id.into_u64(), metadata, &parent))
        });
        set.flatten().unwrap_or(Err(SetParentError::NotRecorded))
    }

    /// Adds a link to another span.
    fn add_link(&self, span_context: SpanContext) {
        change(self.as_span(), |extras, limits| {
            extras.link(span_context, Vec::new(), limits);
        });
    }

    /// Adds an attribute. It does not have to be declared as a field.
    fn set_attribute(&self, key: impl Into<Key>, value: impl Into<Value>) {
        let attribute = KeyValue::new(key, value);
        change(self.as_span(), |extras, limits| {
            extras.attribute(attribute, limits);
        });
    }

    /// Sets the status, unless a higher status is set. `Ok` is higher than `Error`, and `Error` is higher than `Unset`.
    ///
    /// See [set status](https://opentelemetry.io/docs/specs/otel/trace/api/#set-status).
    fn set_status(&self, status: Status) {
        change(self.as_span(), |extras, limits| {
            extras.status(status, limits);
        });
    }
}

mod sealed {
    pub trait Sealed {
        fn as_span(&self) -> &tracing::Span;
    }

    impl Sealed for tracing::Span {
        fn as_span(&self) -> &tracing::Span {
            self
        }
    }
}

/// The error of [`RecorderSpanExt::set_parent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetParentError {
    /// The context of the span has been used: the span was entered, has children, or is the target of a link.
    #[error("the span was entered, has children or is linked to; its parent stays the same")]
    ContextInUse,
    /// No [`RecorderLayer`] records the span.
    #[error("the span is not recorded by a RecorderLayer; its parent stays the same")]
    NotRecorded,
}

impl RecorderSpanExt for Span {}

impl RecorderLayer {
    fn set_parent(
        &self,
        id: u64,
        metadata: &'static Metadata<'static>,
        base: &Context,
    ) -> Result<(), SetParentError> {
        match self.spans.open.with(id, |state| state.is_used()) {
            None => return Err(SetParentError::NotRecorded),
            Some(true) => return Err(SetParentError::ContextInUse),
            Some(false) => {}
        }
        // A sampler may be code of the application, so the span is not locked while it runs.
        let state = self.spans.open.remove(id);
        let mut state = state.ok_or(SetParentError::NotRecorded)?;
        let origin = self.origin(metadata);
        let replaced = self
            .tracer
            .reparent(&mut state, base, Instant::now(), origin);
        self.spans.open.insert(id, state);
        drop(replaced);
        Ok(())
    }
}

/// Calls `f` with the layer that records the span and the id of the span, and returns its result.
fn with_layer<T>(span: &Span, f: impl FnOnce(&RecorderLayer, u64) -> Option<T>) -> Option<T> {
    let result = span.with_subscriber(|(id, dispatch)| {
        f(dispatch.downcast_ref::<RecorderLayer>()?, id.into_u64())
    });
    result.flatten()
}

fn change(span: &Span, change: impl FnOnce(&mut Extras, &Limits)) {
    with_layer(span, |layer, id| {
        layer.change(id, |record| record.change(change));
        Some(())
    });
}
