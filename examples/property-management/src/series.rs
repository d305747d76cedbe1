//! Registers the metrics of each process when it starts: descriptions, and series with value zero.
//! Instruments with guards are in `instruments`.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};

use crate::instruments;

/// The value of the label `provider`. All providers with this wire format have the same value.
pub(crate) const PROVIDER: &str = "openai";

/// The values of the label `outcome` of `llm_requests_total`.
pub(crate) const LLM_OUTCOMES: [&str; 7] = [
    "ok",
    "rate_limited",
    "timeout",
    "unavailable",
    "rejected",
    "malformed",
    "cancelled",
];

/// The values of the label `outcome` of `jobs_processed_total`.
pub(crate) const JOB_OUTCOMES: [&str; 4] = ["done", "retried", "failed", "cancelled"];

/// The values of the label `reason` of `auth_failures_total`.
pub(crate) const AUTH_REASONS: [&str; 7] = [
    "missing_token",
    "malformed_token",
    "bad_signature",
    "expired",
    "wrong_audience",
    "unknown_user",
    "wrong_password",
];

/// Registers a counter with value zero, so that `rate` sees the first increment.
fn register_counter(name: &'static str, labels: &[(&'static str, String)]) {
    counter!(name, labels).increment(0);
}

/// Registers the metrics of a process with a database.
pub(crate) fn register_database(max_connections: u32) {
    instruments::describe();
    gauge!("db_connections_active").increment(0.0);
    describe_gauge!(
        "db_connections_max",
        "The maximum number of database connections."
    );
    gauge!("db_connections_max").set(max_connections);
    describe_counter!(
        "db_errors_total",
        "Database queries that failed, except by a violated unique constraint."
    );
}

/// Registers the metrics of the api-server.
pub(crate) fn register_api(model: &str) {
    instruments::describe();
    for reason in AUTH_REASONS {
        register_counter("auth_failures_total", &[("reason", reason.to_owned())]);
    }
    gauge!("websocket_connections").increment(0.0);
    describe_counter!("llm_requests_total", "Calls to a model, by outcome.");
    let labels = |key, value: &str| {
        [
            ("provider", PROVIDER.to_owned()),
            ("model", model.to_owned()),
            (key, value.to_owned()),
        ]
    };
    for outcome in LLM_OUTCOMES {
        register_counter("llm_requests_total", &labels("outcome", outcome));
    }
    for tokens in ["input", "output"] {
        register_counter("llm_tokens_total", &labels("type", tokens));
    }
}

/// Registers the metrics of the jobs process.
pub(crate) fn register_jobs(kinds: &[&'static str]) {
    describe_counter!("jobs_processed_total", "Attempts at jobs, by outcome.");
    describe_histogram!(
        "job_duration_seconds",
        metrics::Unit::Seconds,
        "Duration of an attempt at a job."
    );
    describe_gauge!("jobs_queued", "Jobs in the queue.");
    describe_gauge!(
        "jobs_oldest_queued_timestamp_seconds",
        "When the oldest job that has not ended was queued, as a Unix time; 0 without a job."
    );
    for kind in kinds {
        for outcome in JOB_OUTCOMES {
            let labels = [
                ("kind", (*kind).to_owned()),
                ("outcome", outcome.to_owned()),
            ];
            register_counter("jobs_processed_total", &labels);
        }
    }
    gauge!("jobs_queued").set(0);
    gauge!("jobs_oldest_queued_timestamp_seconds").set(0);
}
