//! The span of a request, for its handler.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanContext, TraceContextExt},
};

/// A request extension with which a handler changes the span of the request.
///
/// It is inserted if [`expose_span`](crate::TraceLayer::expose_span) is set and the span has an
/// OpenTelemetry context. Changes after the end of the exchange are lost.
///
/// ```
/// use axum::Extension;
/// use opentelemetry::KeyValue;
/// use tower_otel_trace::SpanHandle;
///
/// async fn handler(span: Option<Extension<SpanHandle>>) {
///     if let Some(Extension(span)) = span {
///         span.set_name("GET /orders/{id} (cached)");
///         span.set_attribute(KeyValue::new("shop.cache", "hit"));
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct SpanHandle {
    context: Context,
    renamed: Arc<AtomicBool>,
}

impl SpanHandle {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            context,
            renamed: Arc::default(),
        }
    }

    /// Renames the span. The name replaces `{method} {route}`. Use names with low cardinality.
    pub fn set_name(&self, name: impl Into<String>) {
        self.renamed.store(true, Ordering::Relaxed);
        self.context.span().update_name(name.into());
    }

    /// Sets an attribute of the span.
    pub fn set_attribute(&self, attribute: KeyValue) {
        self.context.span().set_attribute(attribute);
    }

    /// Adds a link to another span.
    pub fn add_link(&self, span: SpanContext, attributes: Vec<KeyValue>) {
        self.context.span().add_link(span, attributes);
    }

    /// Returns the OpenTelemetry context of the span.
    pub fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn is_renamed(&self) -> bool {
        self.renamed.load(Ordering::Relaxed)
    }
}
