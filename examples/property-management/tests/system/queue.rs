//! Jobs that were queued at other times than now.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::{common::v1::any_value::Value, trace::v1::Span};
use sqlx::AnyPool;
use suite_tests::otlp::attribute;

use crate::{
    CLIENT, TRACE,
    harness::{LONG, System, error},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// Adds a job of nobody, about nothing, which is done as soon as it is begun.
async fn add(database: &AnyPool, id: &str, state: &str, queued: SystemTime, due: SystemTime) {
    let row = "INSERT INTO jobs \
               (id, kind, owner, subject, context, state, attempts, queued_at, due_at) \
               VALUES ($1, 'publish_listing', '', '', $2, $3, 0, $4, $5)";
    let context = format!("{{\"traceparent\":\"{TRACE}\"}}");
    let row = sqlx::query(row).bind(id.to_owned()).bind(context);
    let row = row.bind(state.to_owned()).bind(millis(queued));
    row.bind(millis(due)).execute(database).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_taken_late_has_a_trace_of_its_own_that_links_to_its_request() {
    let system = System::start().await;
    let database = system.database().await;
    let now = SystemTime::now();
    for (id, seconds) in [("early", 1), ("late", 61)] {
        let age = Duration::from_secs(seconds);
        add(&database, id, "queued", now - age, now - age).await;
    }
    let of = |id: &'static str| {
        move |(_, span): &&(String, Span)| {
            attribute(span, "messaging.message.id") == Some(Value::StringValue(id.to_owned()))
        }
    };
    let spans = system
        .spans("both jobs", |spans| {
            ["early", "late"]
                .iter()
                .all(|id| spans.iter().any(|own| of(id)(&own)))
        })
        .await;
    let request = u128::from_str_radix(&TRACE[3..35], 16).unwrap();
    let request = request.to_be_bytes();
    let job = |id| &spans.iter().find(of(id)).unwrap().1;

    let early = job("early");
    assert_eq!(early.trace_id, request);
    assert_eq!(early.parent_span_id, CLIENT);
    assert!(early.links.is_empty());

    let late = job("late");
    assert_ne!(late.trace_id, request);
    assert!(late.parent_span_id.is_empty());
    let [link] = &*late.links else {
        panic!("{late:#?}")
    };
    assert_eq!(
        (&*link.trace_id, &*link.span_id),
        (&request[..], &CLIENT[..])
    );
    let Some(Value::IntValue(age)) = attribute(late, "job.age_ms") else {
        panic!("{late:#?}")
    };
    assert!(age >= 61_000, "{age}");
    // What it does is in its own trace as well.
    let query = |(_, span): &&(String, Span)| span.parent_span_id == late.span_id;
    let (_, query) = spans.iter().find(query).unwrap();
    assert_eq!(query.trace_id, late.trace_id);
    assert_eq!((error(early), error(late)), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ended_is_kept_for_a_day_and_then_removed() {
    let system = System::start().await;
    let database = system.database().await;
    let now = SystemTime::now();
    add(&database, "new", "queued", now, now).await;
    for (id, state, due) in [
        ("done, kept", "done", now + MINUTE),
        ("done, over", "done", now - MINUTE),
        ("failed, over", "failed", now - MINUTE),
        // Somebody else works at it.
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
    let rows = tokio::time::timeout(LONG, rows).await.expect("three jobs");
    let ids: Vec<_> = rows.iter().map(|(id, _)| &**id).collect();
    assert_eq!(ids, ["done, kept", "new", "taken"]);
}
