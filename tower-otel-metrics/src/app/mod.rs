//! Metrics of what an application does between a request and its response: queries, model calls,
//! logins, open sockets. Usable from any handler, through the [`metrics`] facade.
//!
//! ```
//! use tower_otel_metrics::app::{self, TokenType};
//!
//! # fn work() {}
//! let _open = app::websocket_connection();         // one more, until it is dropped
//!
//! let query = app::db_query("select");             // timed until it is dropped
//! # work();
//! drop(query);
//!
//! let llm = app::llm_request("anthropic", "claude-sonnet-4-5");
//! # work();
//! llm.tokens(TokenType::Input, 1_200);
//! llm.tokens(TokenType::Output, 340);
//! drop(llm);
//!
//! app::auth_failure("expired");
//! ```
//!
//! | metric | kind | unit | labels | from |
//! |---|---|---|---|---|
//! | `db_query_duration_seconds` | histogram | seconds | `query_type` | [`db_query`] |
//! | `db_connections_active` | gauge | connections | | [`db_connection`] |
//! | `llm_request_duration_seconds` | histogram | seconds | `provider`, `model` | [`llm_request`] |
//! | `llm_tokens_total` | counter | tokens | `provider`, `model`, `type` | [`LlmRequest::tokens`], [`llm_tokens`] |
//! | `auth_failures_total` | counter | failures | `reason` | [`auth_failure`] |
//! | `websocket_connections` | gauge | connections | | [`websocket_connection`] |
//!
//! # Nothing leaks
//!
//! What is counted in is a guard, and is counted out when the guard is dropped: at the end of a
//! scope, by `?`, by a panic, by a future that is cancelled. A guard holds no reference and no
//! lock, and may be moved into a task or a stream. A timer that is dropped has measured; there is
//! nothing to forget.
//!
//! # Labels
//!
//! They are `&'static str` where they should be few, so that no stranger writes them. A model's
//! name may come from configuration; do not take it from a request unchecked.
//!
//! # The recorder
//!
//! A value is lost while no recorder is installed, as with the facade's own macros; the first one
//! after that is not. With the feature `prometheus` both durations have the boundaries that the
//! conventions advise for [databases] and for [generative AI].
//!
//! [databases]: https://opentelemetry.io/docs/specs/semconv/database/database-metrics/
//! [generative AI]: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/

mod guard;
mod llm;

pub use guard::{Active, Timer};
pub use llm::{LlmRequest, TokenType, llm_request, llm_tokens};

use std::sync::atomic::{AtomicBool, Ordering};

use metrics::{Label, SharedString, Unit};

const DB_QUERY_DURATION: &str = "db_query_duration_seconds";
const DB_CONNECTIONS: &str = "db_connections_active";
const LLM_REQUEST_DURATION: &str = "llm_request_duration_seconds";
const LLM_TOKENS: &str = "llm_tokens_total";
const AUTH_FAILURES: &str = "auth_failures_total";
const WEBSOCKETS: &str = "websocket_connections";

/// The boundaries of the durations here, in seconds.
#[cfg(feature = "prometheus")]
pub(crate) const BOUNDARIES: [(&str, &[f64]); 2] = [
    (
        DB_QUERY_DURATION,
        &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0],
    ),
    (
        LLM_REQUEST_DURATION,
        &[
            0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
        ],
    ),
];

/// Times a database query: `db_query_duration_seconds{query_type}`, in seconds, until the timer is
/// dropped. `query_type` says what sort of query it is, such as `select` or `orders_by_day`, never
/// its text.
pub fn db_query(query_type: &'static str) -> Timer {
    let labels = vec![Label::from_static_parts("query_type", query_type)];
    Timer::start(DB_QUERY_DURATION, labels)
}

/// Counts a database connection that is in use: `db_connections_active`, until the guard is
/// dropped. Keep it beside the connection.
pub fn db_connection() -> Active {
    Active::start(DB_CONNECTIONS)
}

/// Counts an open WebSocket: `websocket_connections`, until the guard is dropped. Take it inside
/// of the task that serves the socket, not in the handler that answers the upgrade.
pub fn websocket_connection() -> Active {
    Active::start(WEBSOCKETS)
}

/// Counts a failed authentication: `auth_failures_total{reason}`. The reason is one of few, such
/// as `expired`, `bad_signature` or `unknown_user`, never a name or a token.
pub fn auth_failure(reason: &'static str) {
    describe_once();
    metrics::counter!(AUTH_FAILURES, "reason" => reason).increment(1);
}

/// Describes all metrics of this module, with their units, to the current recorder. The first use
/// of any of them does so by itself, for the recorder that is there then.
pub fn describe() {
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
            (LLM_TOKENS, "Tokens that went into models and came out."),
            (AUTH_FAILURES, "Failed authentications, by reason."),
        ] {
            recorder.describe_counter(name.into(), Some(count), help(text));
        }
    });
}

/// Describes once there is somebody to tell.
fn describe_once() {
    static DESCRIBED: AtomicBool = AtomicBool::new(false);
    let undescribed = !DESCRIBED.load(Ordering::Relaxed) && crate::backend::has_recorder();
    if undescribed && !DESCRIBED.swap(true, Ordering::Relaxed) {
        describe();
    }
}
