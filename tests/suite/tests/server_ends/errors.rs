//! Server errors, and services and bodies that fail.

use http::StatusCode;
use suite_tests::{
    net::Step,
    response::{full, scripted, with_status},
};

use crate::exchange::{aborted, exchange, read_get, with_code, without_response};

#[tokio::test]
async fn a_server_error_is_an_error_and_a_client_error_is_not() {
    for (status, label, error) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "500", Some("500")),
        (StatusCode::NOT_FOUND, "404", None),
    ] {
        exchange(
            move |_| async move { Ok(with_status(status, full("sorry"))) },
            read_get,
            with_code(status, label, error),
        )
        .await;
    }
}

#[tokio::test]
async fn a_service_that_fails_is_an_error() {
    exchange(
        |_| async { Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()) },
        read_get,
        without_response("error", "timeout"),
    )
    .await;
}

#[tokio::test]
async fn a_body_that_fails_is_aborted() {
    exchange(
        |_| async { Ok(scripted([Step::Data("a"), Step::Error])) },
        read_get,
        aborted("timeout"),
    )
    .await;
}
