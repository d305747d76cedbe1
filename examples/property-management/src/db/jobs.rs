//! The queue: a table. With a job comes the context of the request that queued it.

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

/// Who takes a job has it for this long. Somebody who has been killed gives it back so.
const LEASE: Duration = Duration::from_secs(60);

/// One statement, so that two workers never take the same one: the second one to come to the row
/// sees that it is no longer due.
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
    sql: "UPDATE jobs SET state = $2, due_at = $3 WHERE id = $1",
};

/// How long a job that ended can be asked about; then its row is due for removal.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Some at a time: a statement has a time limit.
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
    sql: "UPDATE jobs SET state = 'queued', due_at = $2 WHERE id = $1",
};

const WAITING: Query = Query {
    kind: "count_jobs",
    operation: "SELECT",
    table: "jobs",
    summary: "SELECT jobs",
    sql: "SELECT COUNT(*) FROM jobs WHERE state = 'queued'",
};

const STATE: Query = Query {
    kind: "job_state",
    operation: "SELECT",
    table: "jobs",
    summary: "SELECT jobs",
    sql: "SELECT kind, state FROM jobs WHERE owner = $1 AND id = $2",
};

/// Something to do, for somebody who did not wait for it.
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) owner: String,
    /// Which property.
    pub(crate) subject: String,
    /// Of the request that queued it: `traceparent` and `tracestate`.
    pub(crate) context: BTreeMap<String, String>,
    /// With this one.
    pub(crate) attempts: i64,
    /// Since it was queued.
    pub(crate) age: Duration,
}

impl Database {
    /// Queues a job, with the context that is current.
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
        self.optional(&ADD, row).await?;
        Ok(id)
    }

    /// The next job that is due, which nobody else gets as long as the lease holds.
    pub(crate) async fn take_job(&self) -> Result<Option<Job>, DbError> {
        type Row = (String, String, String, String, String, i64, i64);
        let now = millis(Duration::ZERO);
        let row = TAKE.rows::<Row>().bind(now).bind(millis(LEASE));
        let row = self.optional(&TAKE, row).await?;
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

    /// The job is `done`, or has `failed` for good.
    pub(crate) async fn end_job(&self, id: &str, state: &'static str) -> Result<(), DbError> {
        let row = END.rows::<()>().bind(id.to_owned()).bind(state);
        let row = row.bind(millis(KEPT));
        self.optional(&END, row).await?;
        Ok(())
    }

    /// The job is due once more.
    pub(crate) async fn retry_job(&self, id: &str, after: Duration) -> Result<(), DbError> {
        let row = RETRY.rows::<()>().bind(id.to_owned()).bind(millis(after));
        self.optional(&RETRY, row).await?;
        Ok(())
    }

    /// Removes jobs that ended more than a day ago.
    pub(crate) async fn remove_old_jobs(&self) -> Result<(), DbError> {
        let row = REMOVE.rows::<()>().bind(millis(Duration::ZERO));
        self.optional(&REMOVE, row).await?;
        Ok(())
    }

    /// How many jobs wait.
    pub(crate) async fn waiting_jobs(&self) -> Result<i64, DbError> {
        let row = self.optional(&WAITING, WAITING.rows::<(i64,)>()).await?;
        Ok(row.map_or(0, |(count,)| count))
    }

    /// What kind of job it is and what became of it.
    pub(crate) async fn job(
        &self,
        owner: &str,
        id: &str,
    ) -> Result<Option<(String, String)>, DbError> {
        let row = STATE.rows().bind(owner.to_owned()).bind(id.to_owned());
        self.optional(&STATE, row).await
    }
}

/// A time from now, as the table has it.
fn millis(from_now: Duration) -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let at = since.unwrap_or_default() + from_now;
    i64::try_from(at.as_millis()).unwrap_or(i64::MAX)
}
