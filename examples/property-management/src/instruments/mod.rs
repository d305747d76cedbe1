//! The instruments of this system: queries, connections, model calls, failed logins and WebSockets.
//! They record through the [`metrics`] facade.
//!
//! | metric | kind | unit | labels | recorded by |
//! |---|---|---|---|---|
//! | `db_query_duration_seconds` | histogram | seconds | `query_type` | [`db_query`] |
//! | `db_connections_active` | gauge | connections | | [`db_connection`] |
//! | `llm_request_duration_seconds` | histogram | seconds | `provider`, `model` | [`llm_request`] |
//! | `llm_tokens_total` | counter | tokens | `provider`, `model`, `type` | [`LlmRequest::tokens`](llm::LlmRequest::tokens) |
//! | `auth_failures_total` | counter | failures | `reason` | [`auth_failure`] |
//! | `websocket_connections` | gauge | connections | | [`websocket_connection`] |
//!
//! Durations and gauges are recorded by guards. A guard ends when it is dropped: at the end of a scope, by `?`,
//! by a panic or by a cancelled future. Labels with few values are `&'static str`, so that a
//! request cannot add series.

mod guard;
mod llm;
#[cfg(test)]
mod tests;

pub(crate) use guard::{Active, Timer};
pub(crate) use llm::{TokenType, llm_request};

use metrics::{Label, SharedString, Unit};
use tower_otel_prometheus::{Prometheus, PrometheusBuilder};

const DB_QUERY_DURATION: &str = "db_query_duration_seconds";
const DB_CONNECTIONS: &str = "db_connections_active";
const LLM_REQUEST_DURATION: &str = "llm_request_duration_seconds";
const LLM_TOKENS: &str = "llm_tokens_total";
const AUTH_FAILURES: &str = "auth_failures_total";
const WEBSOCKETS: &str = "websocket_connections";

/// The boundaries that the conventions recommend for [database queries], in seconds.
///
/// [database queries]: https://opentelemetry.io/docs/specs/semconv/database/database-metrics/
const DB_BOUNDARIES: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// The boundaries that the conventions recommend for [model calls], in seconds.
///
/// [model calls]: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/
const LLM_BOUNDARIES: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];

/// Returns the recorder of this system, with the buckets of its durations.
pub(crate) fn recorder() -> PrometheusBuilder {
    Prometheus::builder()
        .buckets(DB_QUERY_DURATION, DB_BOUNDARIES)
        .buckets(LLM_REQUEST_DURATION, LLM_BOUNDARIES)
}

/// Times a database query until the timer is dropped. `query_type` is the kind of query, such as
/// `select`, never its text.
pub(crate) fn db_query(query_type: &'static str) -> Timer {
    let labels = vec![Label::from_static_parts("query_type", query_type)];
    Timer::start(DB_QUERY_DURATION, labels)
}

/// Counts a database connection in use until the guard is dropped.
pub(crate) fn db_connection() -> Active {
    Active::start(DB_CONNECTIONS)
}

/// Counts an open WebSocket until the guard is dropped. Create the guard in the task that serves the
/// socket, not in the handler that responds to the upgrade.
pub(crate) fn websocket_connection() -> Active {
    Active::start(WEBSOCKETS)
}

/// Counts a failed authentication. The reason is one of a few constants, never a name or a token.
pub(crate) fn auth_failure(reason: &'static str) {
    metrics::counter!(AUTH_FAILURES, "reason" => reason).increment(1);
}

/// Describes all instruments in the current recorder.
pub(crate) fn describe() {
    let (help, seconds, count) = (SharedString::const_str, Unit::Seconds, Unit::Count);
    metrics::with_recorder(|recorder| {
        for (name, text) in [
            (DB_QUERY_DURATION, "Duration of database queries."),
            (LLM_REQUEST_DURATION, "Duration of requests to a model."),
        ] {
            recorder.describe_histogram(name.into(), Some(seconds), help(text));
        }
        for (name, text) in [
            (DB_CONNECTIONS, "Database connections in use."),
            (WEBSOCKETS, "Open WebSockets."),
        ] {
            recorder.describe_gauge(name.into(), Some(count), help(text));
        }
        for (name, text) in [
            (LLM_TOKENS, "Input and output tokens of models."),
            (AUTH_FAILURES, "Failed authentications, by reason."),
        ] {
            recorder.describe_counter(name.into(), Some(count), help(text));
        }
    });
}
