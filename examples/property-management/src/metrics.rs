//! The metrics of each process at its start: descriptions, and series at zero. The instruments that
//! need a guard or labels are in `instruments`.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};

use crate::instruments;

/// Whom the model is asked of: the wire format is OpenAI's, whoever speaks it.
pub(crate) const PROVIDER: &str = "openai";

/// How a call to the model can end: the label `outcome` of `llm_requests_total`.
pub(crate) const LLM_OUTCOMES: [&str; 7] = [
    "ok",
    "rate_limited",
    "timeout",
    "unavailable",
    "rejected",
    "malformed",
    "cancelled",
];

/// How a job can end: the label `outcome` of `jobs_processed_total`.
pub(crate) const JOB_OUTCOMES: [&str; 4] = ["done", "retried", "failed", "cancelled"];

/// Why somebody was not let in: the label `reason` of `auth_failures_total`.
pub(crate) const AUTH_REASONS: [&str; 7] = [
    "missing_token",
    "malformed_token",
    "bad_signature",
    "expired",
    "wrong_audience",
    "unknown_user",
    "wrong_password",
];

/// A series that is there from the start, at zero: the first event of all is a rise as well.
fn at_zero(name: &'static str, labels: &[(&'static str, String)]) {
    counter!(name, labels).increment(0);
}

/// The metrics of everybody with a database.
pub(crate) fn of_database(max_connections: u32) {
    instruments::describe();
    gauge!("db_connections_active").increment(0.0);
    describe_gauge!(
        "db_connections_max",
        "The most database connections the pool opens."
    );
    gauge!("db_connections_max").set(max_connections);
    describe_counter!("db_errors_total", "Database queries that failed.");
}

/// The metrics of the api-server.
pub(crate) fn of_api(model: &str) {
    instruments::describe();
    for reason in AUTH_REASONS {
        at_zero("auth_failures_total", &[("reason", reason.to_owned())]);
    }
    gauge!("websocket_connections").increment(0.0);
    describe_counter!("llm_requests_total", "Calls to a model, by how they ended.");
    let of_model = |key, value: &str| {
        [
            ("provider", PROVIDER.to_owned()),
            ("model", model.to_owned()),
            (key, value.to_owned()),
        ]
    };
    for outcome in LLM_OUTCOMES {
        at_zero("llm_requests_total", &of_model("outcome", outcome));
    }
    for tokens in ["input", "output"] {
        at_zero("llm_tokens_total", &of_model("type", tokens));
    }
}

/// The metrics of the worker.
pub(crate) fn of_jobs(kinds: &[&'static str]) {
    describe_counter!(
        "jobs_processed_total",
        "Attempts at jobs, by how they ended."
    );
    describe_histogram!(
        "job_duration_seconds",
        metrics::Unit::Seconds,
        "Duration of an attempt at a job."
    );
    describe_gauge!("jobs_queued", "Jobs that wait.");
    for kind in kinds {
        for outcome in JOB_OUTCOMES {
            let labels = [
                ("kind", (*kind).to_owned()),
                ("outcome", outcome.to_owned()),
            ];
            at_zero("jobs_processed_total", &labels);
        }
    }
    gauge!("jobs_queued").set(0);
}
