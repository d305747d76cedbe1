//! The part of a span that follows the gRPC conventions.

use std::time::Instant;

use opentelemetry::trace::TraceContextExt;
use tower_otel_core::{End, GrpcCall, GrpcOutcome, Kind, ResponseHead};
use tower_otel_semconv::{self as semconv, attribute, rpc};

use crate::{
    backend::{LateValue, OpenSpan},
    header_capture::HeaderCapture,
    protocol::Protocol,
    request::RequestAttributes,
};

/// A gRPC call in progress, and the values that its span records at the end.
#[derive(Debug)]
pub(crate) struct GrpcSpan {
    call: GrpcCall,
    /// The attribute of the status.
    status: &'static str,
    // Recorded at the end: an attribute cannot be removed from a span.
    method: Option<Box<str>>,
}

impl GrpcSpan {
    pub(crate) fn new<S: OpenSpan>(
        call: GrpcCall,
        request: &RequestAttributes<'_, '_>,
        span: &S,
    ) -> Self {
        let is_late = request.kind() == Kind::Server && span.is_recording();
        Self {
            call,
            status: request.config().grpc.unwrap_or(attribute::RPC_STATUS_CODE),
            method: request.grpc_method().filter(|_| is_late).map(Box::from),
        }
    }

    pub(crate) fn response(&mut self, response: &dyn ResponseHead) {
        self.call.response(response);
    }

    pub(crate) fn outcome(&self, end: &End<'_>, at: Instant) -> GrpcOutcome {
        self.call.outcome(end, at)
    }

    /// Copies the captured trailers.
    pub(crate) fn copy_trailers(
        &self,
        captured: &HeaderCapture,
        span: &impl OpenSpan,
        end: &End<'_>,
    ) {
        if let End::Complete {
            trailers: Some(trailers),
        } = end
        {
            captured.copy(trailers, Protocol::Grpc, || span.context());
        }
    }

    /// Records status and method, and returns the error of the call.
    pub(crate) fn end<S: OpenSpan>(
        &self,
        span: &mut S,
        end: &End<'_>,
        at: Instant,
        is_renamed: bool,
    ) -> Option<&'static str> {
        let outcome = self.call.outcome(end, at);
        span.set(self.status, LateValue::Static(outcome.status()));
        let Some(method) = self.method.as_deref() else {
            return outcome.error_type;
        };
        if outcome.code == rpc::UNIMPLEMENTED {
            span.set(attribute::RPC_METHOD, LateValue::Static(semconv::OTHER));
            span.set(attribute::RPC_METHOD_ORIGINAL, LateValue::Text(method));
            if let Some(context) = span.context().filter(|_| !is_renamed) {
                context.span().update_name(rpc::span_name(None));
            }
        } else {
            span.set(attribute::RPC_METHOD, LateValue::Text(method));
        }
        outcome.error_type
    }
}
