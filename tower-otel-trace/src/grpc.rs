//! A gRPC call as its span tells it.

use std::time::Instant;

use opentelemetry::trace::TraceContextExt;
use tower_otel_core::{End, GrpcCall, Kind, ResponseHead};
use tower_otel_semconv::{
    self as semconv, attribute,
    rpc::{self, StatusAttribute},
};

use crate::{
    backend::{Span, Value},
    facts::Facts,
};

impl Facts<'_> {
    /// The method that was called, where the path names one.
    pub(crate) fn called(&self) -> Option<&str> {
        rpc::method(self.path()?)
    }

    /// `rpc.method`, where it is certain at the start: a client knows what it calls. On a server
    /// whatever a stranger made up looks like a method until there is an answer.
    pub(crate) fn rpc_method(&self) -> Option<&str> {
        match (self.called(), self.kind()) {
            (None, _) => Some(semconv::OTHER),
            (Some(_), Kind::Server) => None,
            (method, Kind::Client) => method,
        }
    }

    /// `rpc.method_original`, of a path that names no method.
    pub(crate) fn rpc_method_original(&self) -> Option<&str> {
        match self.called() {
            None => self.path().map(|path| path.trim_start_matches('/')),
            Some(_) => None,
        }
    }
}

/// A call that has not ended yet, and what its span will have to be told.
#[derive(Debug)]
pub(crate) struct Call {
    call: GrpcCall,
    status: StatusAttribute,
    // Set at the end, where a span takes attributes but does not give up those it has.
    method: Option<Box<str>>,
}

impl Call {
    pub(crate) fn new<S: Span>(call: GrpcCall, facts: &Facts<'_>, span: &S) -> Self {
        let is_late = facts.kind() == Kind::Server && span.is_recording();
        Self {
            call,
            status: facts.config().grpc.unwrap_or_default(),
            method: facts.called().filter(|_| is_late).map(Box::from),
        }
    }

    pub(crate) fn response(&mut self, response: &dyn ResponseHead) {
        self.call.response(response);
    }

    /// Sets what is known only now, and says which error it was, if any.
    pub(crate) fn end<S: Span>(
        &self,
        span: &S,
        end: &End<'_>,
        at: Instant,
        is_named: bool,
    ) -> Option<&'static str> {
        let outcome = self.call.outcome(end, at);
        span.set(self.status.key(), Value::Fixed(outcome.status()));
        if let Some(method) = self.method.as_deref() {
            if outcome.code == rpc::UNIMPLEMENTED {
                span.set(attribute::RPC_METHOD, Value::Fixed(semconv::OTHER));
                span.set(attribute::RPC_METHOD_ORIGINAL, Value::Str(method));
                if let Some(context) = span.context().filter(|_| !is_named) {
                    context.span().update_name(rpc::span_name(None));
                }
            } else {
                span.set(attribute::RPC_METHOD, Value::Str(method));
            }
        }
        outcome.error_type
    }
}
