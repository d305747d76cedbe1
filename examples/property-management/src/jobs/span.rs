//! The span of a job: a child of the request that queued the job, or linked to it.

use std::{error::Error, time::Duration};

use opentelemetry::{Context, trace::TraceContextExt};
use tower_otel_propagate::context_from_map;
use tracing::{Span, field::Empty};

use crate::db::Job;

/// The maximum age of a job whose span is a child of the request span. An older job starts a new
/// trace with a link to the request, because the trace of the request may already be sampled and
/// stored.
const MAX_CHILD_AGE: Duration = Duration::from_secs(60);

/// Returns the consumer span of a job, as in the messaging conventions.
pub(super) fn job_span(kind: &'static str, job: &Job) -> Span {
    let request = context_from_map(&job.context, &Context::new());
    let is_late = job.age > MAX_CHILD_AGE;
    let parent = request.clone().filter(|_| !is_late);
    let span = {
        let _parent = parent.map(Context::attach);
        tracing::info_span!(
            "job",
            otel.name = format!("process {kind}"),
            otel.kind = "consumer",
            otel.status_code = Empty,
            messaging.system.name = "jobs_table",
            messaging.operation.name = "process",
            messaging.operation.r#type = "process",
            messaging.destination.name = "jobs",
            messaging.message.id = job.id,
            job.kind = kind,
            job.attempt = job.attempts,
            job.age_ms = i64::try_from(job.age.as_millis()).unwrap_or(i64::MAX),
            error.r#type = Empty,
        )
    };
    if let Some(request) = request.filter(|_| is_late) {
        let link = request.span().span_context().clone();
        span.in_scope(|| Context::current().span().add_link(link, Vec::new()));
    }
    span
}

/// Records a failed attempt in the current span and logs it.
pub(super) fn record_failure(error: &(dyn Error + Send + Sync)) {
    let span = Span::current();
    span.record("otel.status_code", "ERROR");
    span.record("error.type", "job_failed");
    tracing::warn!(%error, "job failed");
}
