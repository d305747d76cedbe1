//! Jobs that were queued in the past.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::Span};
use sqlx::AnyPool;
use suite_tests::otlp::attribute;

use crate::{
    REMOTE_SPAN, TRACEPARENT,
    harness::{System, TIMEOUT, error},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Adds a job without a property. The job ends immediately.
async fn add(database: &AnyPool, id: &str, state: &str, queued: SystemTime, due: SystemTime) {
    add_kind(database, "publish_listing", 0, id, state, queued, due).await;
}

async fn add_kind(
    database: &AnyPool,
    kind: &str,
    attempts: i64,
    id: &str,
    state: &str,
    queued: SystemTime,
    due: SystemTime,
) {
    let row = "INSERT INTO jobs \
               (id, kind, owner, subject, context, state, attempts, queued_at, due_at) \
               VALUES ($1, $6, '', '', $2, $3, $7, $4, $5)";
    let context = format!("{{\"traceparent\":\"{TRACEPARENT}\"}}");
    let row = sqlx::query(row).bind(id.to_owned()).bind(context);
    let row = row.bind(state.to_owned()).bind(millis(queued));
    let row = row.bind(millis(due)).bind(kind.to_owned()).bind(attempts);
    row.execute(database).await.unwrap();
}

/// Waits until the metrics have the time at which the oldest job was queued.
async fn oldest_is(system: &System, queued: SystemTime) {
    let oldest = format!(
        "\njobs_oldest_queued_timestamp_seconds {}",
        millis(queued) / 1000
    );
    let has_oldest = |text: &str| text.contains(&oldest);
    system
        .metrics_until(&system.jobs, "the time of the job", has_oldest)
        .await;
}

/// Returns the state and the attempts of a job as soon as they fulfil a condition.
async fn job_until(
    database: &AnyPool,
    id: &str,
    condition: impl Fn(&(String, i64)) -> bool,
) -> (String, i64) {
    let job = async {
        loop {
            let row = sqlx::query_as("SELECT state, attempts FROM jobs WHERE id = $1");
            let row = row.bind(id.to_owned()).fetch_one(database).await.unwrap();
            if condition(&row) {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, job)
        .await
        .expect("the state of the job")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_attempts_had_no_outcome_fails_and_is_not_taken_again() {
    let system = System::start().await;
    let database = system.database().await;
    let now = SystemTime::now();
    // Five workers took the job and were killed: its lease has expired.
    add_kind(
        &database,
        "statement",
        5,
        "kills",
        "taken",
        now - MINUTE,
        now,
    )
    .await;
    let has_ended = |(state, _): &(String, i64)| state == "failed";
    let (_, attempts) = job_until(&database, "kills", has_ended).await;
    assert_eq!(attempts, 6);
    let is_counted =
        |text: &str| text.contains(r#"jobs_processed_total{kind="statement",outcome="failed"} 1"#);
    system
        .metrics_until(&system.jobs, "the failed job", is_counted)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_an_unknown_kind_stays_queued_without_an_attempt_and_its_age_is_in_the_metrics() {
    let system = System::start().await;
    let database = system.database().await;
    let now = SystemTime::now();
    let queued = now - 20 * MINUTE;
    add_kind(
        &database,
        "newer",
        0,
        "newer",
        "queued",
        queued,
        now - MINUTE,
    )
    .await;
    let row = "SELECT due_at FROM jobs WHERE id = 'newer' AND state = 'queued' AND due_at > $1";
    let returned = async {
        loop {
            let row = sqlx::query(row).bind(millis(now));
            if row.fetch_optional(&database).await.unwrap().is_some() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(TIMEOUT, returned)
        .await
        .expect("a job that is due later");
    let (_, attempts) = job_until(&database, "newer", |_| true).await;
    assert_eq!(attempts, 0);
    oldest_is(&system, queued).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_age_of_a_job_that_a_killed_worker_has_taken_is_in_the_metrics() {
    let system = System::start().await;
    let database = system.database().await;
    let now = SystemTime::now();
    let queued = now - 10 * MINUTE;
    add(&database, "taken", "taken", queued, now + MINUTE).await;
    oldest_is(&system, queued).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_job_starts_a_trace_that_links_to_its_request() {
    let system = System::start().await;
    let database = system.database().await;
    let now = SystemTime::now();
    for (id, seconds) in [("early", 1), ("late", 61)] {
        let age = Duration::from_secs(seconds);
        add(&database, id, "queued", now - age, now - age).await;
    }
    let has_id = |id: &'static str| {
        move |(_, span): &&(String, Span)| {
            attribute(span, "messaging.message.id") == Some(Value::StringValue(id.to_owned()))
        }
    };
    let spans = system
        .spans("both jobs", |spans| {
            ["early", "late"]
                .iter()
                .all(|id| spans.iter().any(|span| has_id(id)(&span)))
        })
        .await;
    let request = u128::from_str_radix(&TRACEPARENT[3..35], 16).unwrap();
    let request = request.to_be_bytes();
    let job = |id| &spans.iter().find(has_id(id)).unwrap().1;

    let early = job("early");
    assert_eq!(early.trace_id, request);
    assert_eq!(early.parent_span_id, REMOTE_SPAN);
    assert!(early.links.is_empty());

    let late = job("late");
    assert_ne!(late.trace_id, request);
    assert!(late.parent_span_id.is_empty());
    let [link] = &*late.links else {
        panic!("{late:#?}")
    };
    assert_eq!(
        (&*link.trace_id, &*link.span_id),
        (&request[..], &REMOTE_SPAN[..])
    );
    let Some(Value::IntValue(age)) = attribute(late, "job.age_ms") else {
        panic!("{late:#?}")
    };
    assert!(age >= 61_000, "{age}");
    // The queries of the job are in its own trace.
    let query = |(_, span): &&(String, Span)| span.parent_span_id == late.span_id;
    let (_, query) = spans.iter().find(query).unwrap();
    assert_eq!(query.trace_id, late.trace_id);
    assert_eq!((error(early), error(late)), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_job_is_removed_after_a_day() {
    let system = System::start().await;
    let database = system.database().await;
    let now = SystemTime::now();
    add(&database, "new", "queued", now, now).await;
    for (id, state, due) in [
        ("done, recent", "done", now + MINUTE),
        ("done, expired", "done", now - MINUTE),
        ("failed, expired", "failed", now - MINUTE),
        // Another worker owns the job.
        ("taken", "taken", now + MINUTE),
    ] {
        add(&database, id, state, now - 2 * DAY, due).await;
    }
    let rows = async {
        loop {
            let rows = "SELECT id, due_at FROM jobs WHERE state <> 'queued' ORDER BY id";
            let rows = sqlx::query_as::<_, (String, i64)>(rows).fetch_all(&database);
            let rows = rows.await.unwrap();
            if rows.len() == 3
                && rows
                    .iter()
                    .any(|(id, due)| id == "new" && *due >= millis(now + DAY))
            {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let rows = tokio::time::timeout(TIMEOUT, rows)
        .await
        .expect("three jobs");
    let ids: Vec<_> = rows.iter().map(|(id, _)| &**id).collect();
    assert_eq!(ids, ["done, recent", "new", "taken"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_have_the_time_of_the_oldest_queued_job() {
    let system = System::start().await;
    let database = system.database().await;
    let now = SystemTime::now();
    let queued = now - 10 * MINUTE;
    // A job that waits for its next attempt.
    add(&database, "waiting", "queued", queued, now + 10 * MINUTE).await;
    oldest_is(&system, queued).await;
    sqlx::query("DELETE FROM jobs")
        .execute(&database)
        .await
        .unwrap();
    let is_zero = |text: &str| text.contains("\njobs_oldest_queued_timestamp_seconds 0\n");
    system
        .metrics_until(&system.jobs, "an empty queue", is_zero)
        .await;
}
