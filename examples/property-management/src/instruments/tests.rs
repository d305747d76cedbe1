#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Waker},
    thread,
};

use metrics::with_local_recorder;
use suite_tests::telemetry::sum;

use crate::instruments::{self, TokenType};

/// Returns the rendered metrics after `record`.
fn recorded(record: impl FnOnce()) -> String {
    let (recorder, prometheus) = instruments::recorder().build().unwrap();
    with_local_recorder(&recorder, || {
        instruments::describe();
        record();
    });
    prometheus.render()
}

#[test]
fn each_instrument_has_a_description_labels_and_buckets() {
    let text = recorded(|| {
        drop(instruments::db_query("select"));
        let llm = instruments::llm_request("anthropic", "claude");
        llm.tokens(TokenType::Input, 1_200);
        llm.tokens(TokenType::Output, 30);
        llm.tokens(TokenType::Output, 4);
        drop(llm);
        instruments::auth_failure("expired");
        drop(instruments::websocket_connection());
        drop(instruments::db_connection());
    });
    for (metric, labels, value) in [
        (
            "db_query_duration_seconds_count",
            [("query_type", "select")].as_slice(),
            1.0,
        ),
        (
            "llm_request_duration_seconds_count",
            &[("provider", "anthropic"), ("model", "claude")],
            1.0,
        ),
        ("llm_tokens_total", &[("type", "input")], 1_200.0),
        ("llm_tokens_total", &[("type", "output")], 34.0),
        ("auth_failures_total", &[("reason", "expired")], 1.0),
    ] {
        assert_eq!(sum(&text, metric, labels), value, "{metric} in {text}");
    }
    for metric in [
        "db_query_duration_seconds",
        "db_connections_active",
        "llm_request_duration_seconds",
        "llm_tokens_total",
        "auth_failures_total",
        "websocket_connections",
    ] {
        assert!(text.contains(&format!("# HELP {metric} ")), "{text}");
    }
    for (metric, longest) in [
        ("db_query_duration_seconds_bucket", "10"),
        ("llm_request_duration_seconds_bucket", "81.92"),
    ] {
        assert_eq!(sum(&text, metric, &[("le", longest)]), 1.0, "{text}");
    }
}

#[test]
fn guards_end_on_panic_and_cancellation() {
    let text = recorded(|| {
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _socket = instruments::websocket_connection();
            let _connection = instruments::db_connection();
            let _query = instruments::db_query("insert");
            std::panic::resume_unwind(Box::new(()));
        }));
        assert!(panicked.is_err());
        // A future that is dropped while it waits.
        {
            let mut cancelled = pin!(async {
                let _socket = instruments::websocket_connection();
                let _query = instruments::db_query("insert");
                std::future::pending::<()>().await;
            });
            let cx = &mut Context::from_waker(Waker::noop());
            assert!(cancelled.as_mut().poll(cx).is_pending());
        }
        // Two guards that stay open.
        std::mem::forget([
            instruments::websocket_connection(),
            instruments::websocket_connection(),
        ]);
    });
    assert_eq!(sum(&text, "websocket_connections", &[]), 2.0);
    assert_eq!(sum(&text, "db_connections_active", &[]), 0.0);
    let inserts = [("query_type", "insert")];
    assert_eq!(sum(&text, "db_query_duration_seconds_count", &inserts), 2.0);
}

#[test]
fn a_gauge_is_decremented_in_its_own_recorder() {
    let (recorder, prometheus) = instruments::recorder().build().unwrap();
    let open = with_local_recorder(&recorder, instruments::db_connection);
    assert_eq!(sum(&prometheus.render(), "db_connections_active", &[]), 1.0);
    thread::spawn(|| drop(open)).join().unwrap();
    assert_eq!(sum(&prometheus.render(), "db_connections_active", &[]), 0.0);
}
