//! The jobs process: runs the jobs that the api-server queues.

mod span;
mod task;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use axum::Router;
use metrics::{counter, gauge, histogram};
use tokio::{net::TcpListener, time};
use tracing::Instrument;

use crate::{
    BoxError,
    config::Variables,
    db::{Database, Job, LEASE},
    layers,
    process::{self, Process, Shutdown},
    series,
};

/// The kinds of jobs.
pub(crate) const PUBLISH_LISTING: &str = "publish_listing";
pub(crate) const STATEMENT: &str = "statement";
const KINDS: [&str; 2] = [PUBLISH_LISTING, STATEMENT];

/// The interval between polls of an empty queue.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// The time limit of an attempt. It is shorter than the lease.
const JOB_TIMEOUT: Duration = Duration::from_secs(30);

const MAX_ATTEMPTS: i64 = 5;

/// The minimum interval between counts of the queue, because a count reads all queued jobs.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);

/// Runs the jobs process, configured by the environment.
pub fn jobs() -> ExitCode {
    process::run("jobs", async |process| {
        let variables = Variables::from_env();
        let database = Database::open(&variables.database_url()?)?;
        let address = variables.listen_addr("127.0.0.1:8082");
        serve(process::listen(&address).await?, database, &process).await
    })
}

pub(crate) async fn serve(
    listener: TcpListener,
    database: Database,
    process: &Process,
) -> Result<(), BoxError> {
    series::register_jobs(&KINDS);
    let app: Router = layers::operations(database.clone(), process);
    let worker = async {
        database.prepare(&process.shutdown).await;
        run_jobs(&database, &process.shutdown).await;
    };
    tokio::join!(worker, process::serve(listener, app, &process.shutdown)).1
}

/// Runs jobs until a shutdown is requested. Completes the current job first.
async fn run_jobs(database: &Database, shutdown: &Shutdown) {
    let mut counted: Option<Instant> = None;
    while !shutdown.is_requested() {
        match database.take_job().await {
            Ok(Some(job)) => run_attempt(database, job).await,
            result => {
                if result.is_ok() {
                    // The queue is empty. A failed removal is repeated later.
                    let _ = database.remove_old_jobs().await;
                }
                let _ = time::timeout(POLL_INTERVAL, shutdown.wait()).await;
            }
        }
        if counted.is_some_and(|at| at.elapsed() < COUNT_INTERVAL) {
            continue;
        }
        counted = Some(Instant::now());
        if let Ok(state) = database.queue_state().await {
            #[allow(clippy::cast_precision_loss)]
            let (count, oldest) = (state.count as f64, state.oldest_queued_at as f64 / 1000.0);
            gauge!("jobs_queued").set(count);
            gauge!("jobs_oldest_queued_timestamp_seconds").set(oldest);
        }
    }
}

/// Runs one attempt, and records a span, a duration and an outcome.
async fn run_attempt(database: &Database, job: Job) {
    let Some(kind) = KINDS.into_iter().find(|kind| *kind == job.kind) else {
        // A newer version of this program queued the job, and will run it. The metrics include its age until then.
        tracing::warn!(job.id, job.kind, "unknown job kind, returned to the queue");
        let _ = database.retry_job(&job, LEASE, job.attempts - 1).await;
        return;
    };
    let metrics = AttemptMetrics::start(kind);
    if job.attempts > MAX_ATTEMPTS {
        // Each attempt has killed its worker, or the worker could not store the outcome.
        tracing::error!(
            job.id,
            job.kind,
            "the job failed: no attempt had an outcome"
        );
        return metrics.finish(end_job(database, &job, "failed").await);
    }
    let attempt = async {
        let result = time::timeout(JOB_TIMEOUT, task::run(database, kind, &job)).await;
        let outcome = match result.unwrap_or_else(|_| Err("timeout".into())) {
            Ok(()) => end_job(database, &job, "done").await,
            Err(error) => {
                span::record_failure(&*error);
                match job.attempts < MAX_ATTEMPTS {
                    true => retry_job(database, &job).await,
                    false => end_job(database, &job, "failed").await,
                }
            }
        };
        metrics.finish(outcome);
    };
    attempt.instrument(span::job_span(kind, &job)).await;
}

async fn end_job(database: &Database, job: &Job, state: &'static str) -> &'static str {
    // If this fails, the job runs again after the lease. Jobs are idempotent.
    match database.end_job(job, state).await {
        Ok(()) => state,
        Err(_) => "retried",
    }
}

async fn retry_job(database: &Database, job: &Job) -> &'static str {
    let attempts = u32::try_from(job.attempts).unwrap_or(u32::MAX);
    let pause = Duration::from_secs(1) * 2_u32.saturating_pow(attempts.min(6));
    let _ = database.retry_job(job, pause, job.attempts).await;
    "retried"
}

/// Records an attempt when dropped, as `cancelled` unless `finish` set the outcome.
struct AttemptMetrics {
    kind: &'static str,
    start: Instant,
    outcome: &'static str,
}

impl AttemptMetrics {
    fn start(kind: &'static str) -> Self {
        Self {
            kind,
            start: Instant::now(),
            outcome: "cancelled",
        }
    }

    fn finish(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for AttemptMetrics {
    fn drop(&mut self) {
        let Self {
            kind,
            start,
            outcome,
        } = *self;
        histogram!("job_duration_seconds", "kind" => kind).record(start.elapsed().as_secs_f64());
        counter!("jobs_processed_total", "kind" => kind, "outcome" => outcome).increment(1);
    }
}
