//! The span of a job, and its connection to the request that queued it.

use std::{error::Error, time::Duration};

use opentelemetry::{Context, trace::TraceContextExt};
use tower_otel_propagate::context_from_map;
use tracing::{Span, field::Empty};

use crate::db::Job;

/// A job that is taken within this time belongs to the trace of its request: one looks at it to see
/// what became of a click. A later one has a trace of its own and links to the other, which by then
/// has been decided upon, stored and perhaps thrown away.
const SAME_TRACE: Duration = Duration::from_secs(60);

/// A consumer's span, by the conventions for messaging.
pub(super) fn of(kind: &'static str, job: &Job) -> Span {
    let request = context_from_map(&job.context, &Context::new());
    let is_late = job.age > SAME_TRACE;
    let parent = request.clone().filter(|_| !is_late);
    let span = {
        let _parent = parent.map(Context::attach);
        tracing::info_span!(
            "job",
            otel.name = format!("process {kind}"),
            otel.kind = "consumer",
            otel.status_code = Empty,
            messaging.system = "jobs_table",
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

/// The job failed, this time.
pub(super) fn fail(error: &(dyn Error + Send + Sync)) {
    let span = Span::current();
    span.record("otel.status_code", "ERROR");
    span.record("error.type", "job_failed");
    tracing::warn!(%error, "a job failed");
}
