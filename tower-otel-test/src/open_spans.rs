//! The spans that have started and not ended.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry::{
    Context,
    trace::{Span as _, SpanContext, SpanKind},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

use crate::span_text::{SpanText, render};

/// The open spans, in the order of their starts.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenSpans(Arc<Mutex<Vec<OpenSpan>>>);

#[derive(Debug)]
struct OpenSpan {
    context: SpanContext,
    name: String,
    kind: SpanKind,
}

impl OpenSpans {
    fn lock(&self) -> MutexGuard<'_, Vec<OpenSpan>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a text with the open spans and why they may be open, for the message of a failed assertion. Returns an empty
    /// text if all spans have ended.
    pub(crate) fn note(&self) -> String {
        let open = self.lock();
        if open.is_empty() {
            return String::new();
        }
        let is_exchange =
            |span: &OpenSpan| matches!(span.kind, SpanKind::Server | SpanKind::Client);
        let advice = match open.iter().any(is_exchange) {
            true => {
                "The span of a request ends with the body of the response: read the body to its end, as with \
                 `axum::body::to_bytes`, or drop the response, before the assertion.\n"
            }
            false => "",
        };
        let spans: Vec<_> = open.iter().map(OpenSpan::text).collect();
        format!(
            "\nnot recorded, because they have not ended:\n\n{}{advice}",
            render(&spans)
        )
    }
}

impl OpenSpan {
    fn text(&self) -> SpanText {
        SpanText {
            name: self.name.clone(),
            kind: Some(self.kind.clone()),
            failed: false,
            attributes: Vec::new(),
            children: Vec::new(),
        }
    }
}

impl SpanProcessor for OpenSpans {
    fn on_start(&self, span: &mut Span, _: &Context) {
        if let Some(data) = span.exported_data() {
            self.lock().push(OpenSpan {
                context: span.span_context().clone(),
                name: data.name.into_owned(),
                kind: data.span_kind,
            });
        }
    }

    fn on_end(&self, span: SpanData) {
        self.lock().retain(|open| open.context != span.span_context);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
