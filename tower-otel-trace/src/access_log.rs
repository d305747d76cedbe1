//! The access log: one event at the end of each exchange.

use std::{
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use http::StatusCode;
use tower_otel_core::End;
use tower_otel_semconv::{attribute, rpc};
use tracing::{Level, level_filters::LevelFilter};

use crate::{protocol::Protocol, request::RequestAttributes};

/// The target of the events, for filters.
const TARGET: &str = "tower_otel_trace::access_log";

/// The fields of a log line that the request determines. Texts are redacted and cut as in the span.
pub(crate) struct AccessEntry {
    started: Instant,
    /// `None` for a gRPC call.
    method: Option<String>,
    rpc_method: Option<String>,
    /// The path of a server's request.
    path: Option<String>,
    query: Option<String>,
    /// The URL of a client's request.
    url: Option<String>,
}

/// The fields of a log line that the end determines.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccessEnd {
    /// The HTTP status.
    pub(crate) status: Option<StatusCode>,
    /// The gRPC status.
    pub(crate) rpc_status: Option<&'static str>,
    pub(crate) error: Option<&'static str>,
}

impl AccessEntry {
    /// Returns the entry of a request, or `None` if the maximum level of all subscribers disables both events.
    #[cold]
    pub(crate) fn new(request: &RequestAttributes<'_, '_>, started: Instant) -> Option<Self> {
        if LevelFilter::current() < LevelFilter::WARN {
            return None;
        }
        let is_grpc = request.protocol() == Protocol::Grpc;
        let url = request.url();
        let path = request.path().filter(|_| url.is_none() && !is_grpc);
        Some(Self {
            started,
            method: (!is_grpc).then(|| request.method().to_owned()),
            rpc_method: is_grpc.then(|| rpc::span_name(request.grpc_method()).to_owned()),
            path: path.map(str::to_owned),
            query: request.query().map(|query| query.into_owned()),
            url,
        })
    }

    /// Writes the event in the current OpenTelemetry context, outside any `tracing` span. A panic of the subscriber is
    /// ignored.
    pub(crate) fn write(&self, end: &End<'_>, at: Instant, outcome: AccessEnd) {
        let write = || self.write_event(end, at, outcome);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(write)) {
            // The destructor of the payload may panic, too.
            mem::forget(panic);
        }
    }

    fn write_event(&self, end: &End<'_>, at: Instant, outcome: AccessEnd) {
        let how = match end {
            End::Complete { .. } => "complete",
            End::Upgraded => "upgraded",
            End::Failed(_) => "failed",
            End::Cancelled => "cancelled",
            End::Panicked => "panicked",
            _ => "aborted",
        };
        let status = outcome.status.map(|status| status.as_u16());
        let duration = milliseconds(at.saturating_duration_since(self.started));
        // The level of an event must be a constant, so there are two events.
        match outcome.error {
            None => tracing::event!(
                target: TARGET,
                parent: None,
                Level::INFO,
                {
                    { attribute::HTTP_REQUEST_METHOD } = self.method.as_deref(),
                    { attribute::RPC_METHOD } = self.rpc_method.as_deref(),
                    { attribute::URL_PATH } = self.path.as_deref(),
                    { attribute::URL_QUERY } = self.query.as_deref(),
                    { attribute::URL_FULL } = self.url.as_deref(),
                    { attribute::HTTP_RESPONSE_STATUS_CODE } = status,
                    { attribute::RPC_STATUS_CODE } = outcome.rpc_status,
                    duration_ms = duration,
                },
                "request {how}"
            ),
            Some(error) => tracing::event!(
                target: TARGET,
                parent: None,
                Level::WARN,
                {
                    { attribute::HTTP_REQUEST_METHOD } = self.method.as_deref(),
                    { attribute::RPC_METHOD } = self.rpc_method.as_deref(),
                    { attribute::URL_PATH } = self.path.as_deref(),
                    { attribute::URL_QUERY } = self.query.as_deref(),
                    { attribute::URL_FULL } = self.url.as_deref(),
                    { attribute::HTTP_RESPONSE_STATUS_CODE } = status,
                    { attribute::RPC_STATUS_CODE } = outcome.rpc_status,
                    { attribute::ERROR_TYPE } = error,
                    duration_ms = duration,
                },
                "request {how}"
            ),
        }
    }
}

/// Returns a duration in milliseconds, rounded to microseconds.
fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// Omits the texts of the request.
impl fmt::Debug for AccessEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessEntry").finish_non_exhaustive()
    }
}
