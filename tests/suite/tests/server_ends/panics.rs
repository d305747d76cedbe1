//! A handler or a body that panics is recorded as `panic`.

use suite_tests::{
    net::{BoxError, Step},
    response::{BoxedResponse, scripted},
};

use crate::exchange::{aborted, exchange, read_get, without_response};

#[tokio::test]
async fn a_handler_that_panics_in_poll_is_recorded_as_panic() {
    exchange(
        |_| async { panic!("the handler panics") },
        read_get,
        without_response("panic", "panic"),
    )
    .await;
}

#[tokio::test]
async fn a_handler_that_panics_in_call_is_recorded_as_panic() {
    exchange(
        |_| -> std::future::Ready<Result<BoxedResponse, BoxError>> { panic!("the call panics") },
        read_get,
        without_response("panic", "panic"),
    )
    .await;
}

#[tokio::test]
async fn a_body_that_panics_is_recorded_as_panic() {
    exchange(
        |_| async { Ok(scripted([Step::Data("a"), Step::Panic])) },
        read_get,
        aborted("panic"),
    )
    .await;
}
