//! The worker: it does what the api-server queued.

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
    db::{Database, Job},
    metrics as names, observed,
    process::{self, Process, Stop},
};

/// The kinds of jobs.
pub(crate) const PUBLISH_LISTING: &str = "publish_listing";
pub(crate) const STATEMENT: &str = "statement";
const KINDS: [&str; 2] = [PUBLISH_LISTING, STATEMENT];

/// How often an empty queue is looked at.
const POLL: Duration = Duration::from_millis(500);

/// How long a job may take; the lease in the queue is longer.
const JOB: Duration = Duration::from_secs(30);

const MAX_ATTEMPTS: i64 = 5;

/// Runs the worker, as the environment says.
pub fn jobs() -> ExitCode {
    process::run("jobs", async |process| {
        let variables = Variables::of_process();
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
    names::of_jobs(&KINDS);
    let app: Router = observed::operations(Some(database.clone()), process);
    let working = async {
        database.prepare(&process.stop).await;
        work(&database, &process.stop).await;
    };
    tokio::join!(working, process::serve(listener, app, &process.stop)).1
}

/// Job after job, until it is time to stop. The one that is being done is done first.
async fn work(database: &Database, stop: &Stop) {
    while !stop.is_asked() {
        match database.take_job().await {
            Ok(Some(job)) => attempt(database, job).await,
            found => {
                if found.is_ok() {
                    // There is time for it. If it fails, there will be more.
                    let _ = database.remove_old_jobs().await;
                }
                let _ = time::timeout(POLL, stop.asked()).await;
            }
        }
        if let Ok(waiting) = database.waiting_jobs().await {
            #[allow(clippy::cast_precision_loss)]
            gauge!("jobs_queued").set(waiting as f64);
        }
    }
}

/// One attempt: a span, a duration and an outcome, however it ends.
async fn attempt(database: &Database, job: Job) {
    let Some(kind) = KINDS.into_iter().find(|kind| *kind == job.kind) else {
        // Of a newer version of this program, which will take it.
        tracing::warn!(job.id, "a job of an unknown kind");
        return;
    };
    let measured = Attempt::of(kind);
    let attempting = async {
        let done = time::timeout(JOB, task::run(database, kind, &job)).await;
        let outcome = match done.unwrap_or_else(|_| Err("timeout".into())) {
            Ok(()) => settle(database, &job, "done").await,
            Err(error) => {
                span::fail(&*error);
                match job.attempts < MAX_ATTEMPTS {
                    true => again(database, &job).await,
                    false => settle(database, &job, "failed").await,
                }
            }
        };
        measured.is(outcome);
    };
    attempting.instrument(span::of(kind, &job)).await;
}

async fn settle(database: &Database, job: &Job, state: &'static str) -> &'static str {
    // If this fails, the lease runs out, and the job is done once more: jobs are idempotent.
    match database.end_job(&job.id, state).await {
        Ok(()) => state,
        Err(_) => "retried",
    }
}

async fn again(database: &Database, job: &Job) -> &'static str {
    let attempts = u32::try_from(job.attempts).unwrap_or(u32::MAX);
    let pause = Duration::from_secs(1) * 2_u32.saturating_pow(attempts.min(6));
    let _ = database.retry_job(&job.id, pause).await;
    "retried"
}

/// Measures an attempt, and counts it as `cancelled` unless somebody knows better.
struct Attempt {
    kind: &'static str,
    start: Instant,
    outcome: &'static str,
}

impl Attempt {
    fn of(kind: &'static str) -> Self {
        Self {
            kind,
            start: Instant::now(),
            outcome: "cancelled",
        }
    }

    fn is(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Attempt {
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
