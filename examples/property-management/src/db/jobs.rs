//! The table of jobs, used as a queue. A job stores the context of the request that queued it.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::Context;
use tower_otel_propagate::context_to_map;
use uuid::Uuid;

use super::{Database, DbError, query::Query};

const ADD: Query = Query {
    kind: "add_job",
    operation: "INSERT",
    table: "jobs",
    summary: "INSERT jobs",
    sql: "INSERT INTO jobs \
          (id, kind, owner, subject, context, state, attempts, queued_at, due_at) \
          VALUES ($1, $2, $3, $4, $5, 'queued', 0, $6, $6)",
};

/// The time for which a worker owns a job. A job of a killed worker is due again after this time.
pub(crate) const LEASE: Duration = Duration::from_secs(60);

/// Takes a job in a single statement, so that two workers never take the same job: for the second worker, the row is
/// no longer due.
const TAKE: Query = Query {
    kind: "take_job",
    operation: "UPDATE",
    table: "jobs",
    summary: "UPDATE jobs",
    sql: "UPDATE jobs SET state = 'taken', attempts = attempts + 1, due_at = $2 \
          WHERE id = (SELECT id FROM jobs WHERE state IN ('queued', 'taken') AND due_at <= $1 \
          ORDER BY due_at LIMIT 1) AND state IN ('queued', 'taken') AND due_at <= $1 \
          RETURNING id, kind, owner, subject, context, attempts, queued_at",
};

const END: Query = Query {
    kind: "end_job",
    operation: "UPDATE",
    table: "jobs",
    summary: "UPDATE jobs",
    sql: "UPDATE jobs SET state = $2, due_at = $3 \
          WHERE id = $1 AND state = 'taken' AND attempts = $4",
};

/// The time for which the row of an ended job is stored.
const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// Removes old rows. The number of rows is limited, because a statement has a time limit.
const REMOVE: Query = Query {
    kind: "remove_jobs",
    operation: "DELETE",
    table: "jobs",
    summary: "DELETE jobs",
    sql: "DELETE FROM jobs WHERE id IN (SELECT id FROM jobs \
          WHERE state IN ('done', 'failed') AND due_at <= $1 LIMIT 1000)",
};

const RETRY: Query = Query {
    kind: "retry_job",
    operation: "UPDATE",
    table: "jobs",
    summary: "UPDATE jobs",
    sql: "UPDATE jobs SET state = 'queued', due_at = $2, attempts = $3 \
          WHERE id = $1 AND state = 'taken' AND attempts = $4",
};

const COUNT: Query = Query {
    kind: "count_jobs",
    operation: "SELECT",
    table: "jobs",
    summary: "SELECT jobs",
    sql: "SELECT COUNT(CASE WHEN state = 'queued' THEN 1 END), COALESCE(MIN(queued_at), 0) \
          FROM jobs WHERE state IN ('queued', 'taken')",
};

const STATE: Query = Query {
    kind: "job_state",
    operation: "SELECT",
    table: "jobs",
    summary: "SELECT jobs",
    sql: "SELECT kind, state FROM jobs WHERE owner = $1 AND id = $2",
};

/// The jobs that have not ended.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueState {
    /// The number of jobs that no worker has taken.
    pub(crate) count: i64,
    /// The time when the oldest job was queued, in milliseconds since the Unix epoch. Zero without a job. A job that a worker has
    /// taken counts, because the worker may have been killed.
    pub(crate) oldest_queued_at: i64,
}

/// A taken job.
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) owner: String,
    /// The id of the property.
    pub(crate) subject: String,
    /// `traceparent` and `tracestate` of the request that queued the job.
    pub(crate) context: BTreeMap<String, String>,
    /// The number of attempts, including the current one.
    pub(crate) attempts: i64,
    /// The time since the job was queued.
    pub(crate) age: Duration,
}

impl Database {
    /// Queues a job with the current context and returns its id.
    pub(crate) async fn add_job(
        &self,
        kind: &'static str,
        owner: &str,
        subject: &str,
    ) -> Result<String, DbError> {
        let id = Uuid::now_v7().to_string();
        let context = context_to_map(&Context::current());
        let context = serde_json::to_string(&context).unwrap_or_default();
        let row = ADD.rows::<()>().bind(id.clone()).bind(kind);
        let row = row.bind(owner.to_owned()).bind(subject.to_owned());
        let row = row.bind(context).bind(millis(Duration::ZERO));
        self.fetch_optional(&ADD, row).await?;
        Ok(id)
    }

    /// Takes the next due job. No other worker can take it during the lease.
    pub(crate) async fn take_job(&self) -> Result<Option<Job>, DbError> {
        type Row = (String, String, String, String, String, i64, i64);
        let now = millis(Duration::ZERO);
        let row = TAKE.rows::<Row>().bind(now).bind(millis(LEASE));
        let row = self.fetch_optional(&TAKE, row).await?;
        Ok(row.map(
            |(id, kind, owner, subject, context, attempts, queued_at)| Job {
                id,
                kind,
                owner,
                subject,
                context: serde_json::from_str(&context).unwrap_or_default(),
                attempts,
                age: Duration::from_millis(u64::try_from(now - queued_at).unwrap_or_default()),
            },
        ))
    }

    /// Ends a job as `done` or `failed`, unless another worker has taken it since.
    pub(crate) async fn end_job(&self, job: &Job, state: &'static str) -> Result<(), DbError> {
        let row = END.rows::<()>().bind(job.id.clone()).bind(state);
        let row = row.bind(millis(RETENTION)).bind(job.attempts);
        self.fetch_optional(&END, row).await?;
        Ok(())
    }

    /// Makes a job due again after a pause, and sets the number of its attempts, unless another worker has taken it since.
    pub(crate) async fn retry_job(
        &self,
        job: &Job,
        after: Duration,
        attempts: i64,
    ) -> Result<(), DbError> {
        let row = RETRY.rows::<()>().bind(job.id.clone()).bind(millis(after));
        let row = row.bind(attempts).bind(job.attempts);
        self.fetch_optional(&RETRY, row).await?;
        Ok(())
    }

    /// Removes jobs that ended more than a day ago.
    pub(crate) async fn remove_old_jobs(&self) -> Result<(), DbError> {
        let row = REMOVE.rows::<()>().bind(millis(Duration::ZERO));
        self.fetch_optional(&REMOVE, row).await?;
        Ok(())
    }

    /// Returns the number of queued jobs, and the time when the oldest job that has not ended was queued.
    pub(crate) async fn queue_state(&self) -> Result<QueueState, DbError> {
        let row = self.fetch_optional(&COUNT, COUNT.rows::<(i64, i64)>());
        Ok(row
            .await?
            .map(|(count, oldest_queued_at)| QueueState {
                count,
                oldest_queued_at,
            })
            .unwrap_or_default())
    }

    /// Returns the kind and the state of a job.
    pub(crate) async fn job(
        &self,
        owner: &str,
        id: &str,
    ) -> Result<Option<(String, String)>, DbError> {
        let row = STATE.rows().bind(owner.to_owned()).bind(id.to_owned());
        self.fetch_optional(&STATE, row).await
    }
}

/// Returns the time `from_now` in the future, in milliseconds since the Unix epoch.
fn millis(from_now: Duration) -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let at = since.unwrap_or_default() + from_now;
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}
