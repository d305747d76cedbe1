//! The span of a request, in the hands of whoever serves it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanContext, TraceContextExt},
};

/// The span of a request, as an extension of that request.
///
/// It is there if the layer was told to [expose the span](crate::TraceLayer::expose_span) and the
/// span is known to OpenTelemetry. What is set after the exchange has ended is lost.
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
    named: Arc<AtomicBool>,
}

impl SpanHandle {
    pub(crate) fn new(context: Context) -> Self {
        Self {
            context,
            named: Arc::default(),
        }
    }

    /// Gives the span another name, in place of `{method} {route}`. Keep it of low cardinality.
    pub fn set_name(&self, name: impl Into<String>) {
        self.named.store(true, Ordering::Relaxed);
        self.context.span().update_name(name.into());
    }

    /// Sets an attribute.
    pub fn set_attribute(&self, attribute: KeyValue) {
        self.context.span().set_attribute(attribute);
    }

    /// Links to another span.
    pub fn add_link(&self, span: SpanContext, attributes: Vec<KeyValue>) {
        self.context.span().add_link(span, attributes);
    }

    /// The OpenTelemetry context of the span.
    pub fn context(&self) -> &Context {
        &self.context
    }

    pub(crate) fn is_named(&self) -> bool {
        self.named.load(Ordering::Relaxed)
    }
}
