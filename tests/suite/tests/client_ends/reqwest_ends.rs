//! The ends of an exchange with `reqwest::Client`.

use http::{HeaderValue, StatusCode, header};
use suite_tests::{
    backend::Backend,
    net::{ResettableServer, Step, refusing_address},
    response::{full, scripted, with_status},
};
use tokio::sync::oneshot;
use tower::{ServiceExt, service_fn};

use crate::{
    exchange::{failing_body, never_responds, observed},
    expected::{COMPLETE, failed_body, with_code, without_response},
    reqwest_exchange::{
        reqwest_client, reqwest_exchange, reqwest_exchanges, reqwest_exchanges_without_response,
        reqwest_get,
    },
};

/// Pauses the clock of tokio until it is dropped. A paused clock advances to the next timer.
struct PausedTime;

impl PausedTime {
    fn start() -> Self {
        tokio::time::pause();
        Self
    }
}

impl Drop for PausedTime {
    fn drop(&mut self) {
        tokio::time::resume();
    }
}

#[tokio::test]
async fn a_body_with_a_content_length_is_complete() {
    reqwest_exchanges(
        |_| async { Ok(full("whole")) },
        async |client, url| {
            let response = client.oneshot(reqwest_get(&url)).await.unwrap();
            assert_eq!(response.content_length(), Some(5));
            assert_eq!(response.text().await.unwrap(), "whole");
        },
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn a_stream_of_unknown_length_is_complete() {
    reqwest_exchanges(
        |_| async { Ok(scripted([Step::Data("a"), Step::Data("b")])) },
        async |client, url| {
            let mut response = client.oneshot(reqwest_get(&url)).await.unwrap();
            assert_eq!(response.content_length(), None);
            let mut bytes = Vec::new();
            while let Some(chunk) = response.chunk().await.unwrap() {
                bytes.extend(chunk);
            }
            assert_eq!(bytes, b"ab");
        },
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn a_server_error_is_an_error() {
    reqwest_exchanges(
        |_| async {
            Ok(with_status(
                StatusCode::INTERNAL_SERVER_ERROR,
                full("sorry"),
            ))
        },
        async |client, url| {
            let response = client.oneshot(reqwest_get(&url)).await.unwrap();
            let error = response.error_for_status().unwrap_err();
            assert_eq!(error.status(), Some(StatusCode::INTERNAL_SERVER_ERROR));
            assert_eq!(error.url().unwrap().as_str(), url);
        },
        with_code(StatusCode::INTERNAL_SERVER_ERROR, "500", Some("500")),
    )
    .await;
}

#[tokio::test]
async fn a_refused_connection_is_an_error() {
    for backend in Backend::ALL {
        let (_socket, to) = refusing_address();
        observed(
            backend,
            reqwest_client(),
            to,
            async |client, url| {
                let error = client.oneshot(reqwest_get(&url)).await.unwrap_err();
                assert!(error.is_connect());
            },
            without_response("error", Some("connection_refused")),
        )
        .await;
    }
}

#[tokio::test]
async fn a_connection_reset_before_the_response_is_an_error() {
    for backend in Backend::ALL {
        let (started_tx, started) = oneshot::channel();
        let server = ResettableServer::serve(service_fn(never_responds(started_tx))).await;
        observed(
            backend,
            reqwest_client(),
            server.address(),
            async |client, url| {
                let request = tokio::spawn(client.oneshot(reqwest_get(&url)));
                started.await.unwrap();
                server.reset();
                assert!(request.await.unwrap().unwrap_err().is_request());
            },
            without_response("error", Some("connection_reset")),
        )
        .await;
    }
}

#[tokio::test]
async fn a_connection_closed_before_the_response_is_an_error() {
    reqwest_exchanges(
        |_| async { Err("no answer".into()) },
        async |client, url| {
            client.oneshot(reqwest_get(&url)).await.unwrap_err();
        },
        without_response("error", Some("connection_closed")),
    )
    .await;
}

#[tokio::test]
async fn a_body_that_the_server_fails_to_finish_is_an_error() {
    for backend in Backend::ALL {
        let (fail, failure) = oneshot::channel();
        reqwest_exchange(
            backend,
            failing_body(failure),
            async |client, url| {
                let mut response = client.oneshot(reqwest_get(&url)).await.unwrap();
                response.chunk().await.unwrap().unwrap();
                fail.send(()).unwrap();
                response.chunk().await.unwrap_err();
            },
            failed_body("connection_closed"),
        )
        .await;
    }
}

#[tokio::test]
async fn a_timeout_before_the_response_is_an_error() {
    reqwest_exchanges_without_response(
        async |client, url, started| {
            let request = tokio::spawn(client.oneshot(reqwest_get(&url)));
            started.await.unwrap();
            let _time = PausedTime::start();
            assert!(request.await.unwrap().unwrap_err().is_timeout());
        },
        without_response("error", Some("timeout")),
    )
    .await;
}

#[tokio::test]
async fn a_timeout_during_the_body_is_an_error() {
    reqwest_exchanges(
        |_| async { Ok(scripted([Step::Data("a"), Step::Pending])) },
        async |client, url| {
            let mut response = client.oneshot(reqwest_get(&url)).await.unwrap();
            response.chunk().await.unwrap().unwrap();
            let _time = PausedTime::start();
            assert!(response.chunk().await.unwrap_err().is_timeout());
        },
        failed_body("timeout"),
    )
    .await;
}

#[tokio::test]
async fn a_request_dropped_before_the_response_is_not_an_error() {
    reqwest_exchanges_without_response(
        async |client, url, started| {
            tokio::select! {
                _ = client.oneshot(reqwest_get(&url)) => panic!("unexpected response"),
                result = started => result.unwrap(),
            }
        },
        without_response("cancelled", None),
    )
    .await;
}

#[tokio::test]
async fn a_body_dropped_before_its_end_is_not_an_error() {
    reqwest_exchanges(
        |_| async { Ok(scripted([Step::Data("a"), Step::Pending])) },
        async |client, url| {
            let mut response = client.oneshot(reqwest_get(&url)).await.unwrap();
            response.chunk().await.unwrap().unwrap();
        },
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn a_redirect_loop_is_an_error() {
    reqwest_exchanges(
        |request| async move {
            let mut response = with_status(StatusCode::FOUND, full("sorry"));
            let back = HeaderValue::from_str(request.uri().path()).unwrap();
            response.headers_mut().insert(header::LOCATION, back);
            Ok(response)
        },
        async |client, url| {
            let error = client.oneshot(reqwest_get(&url)).await.unwrap_err();
            assert!(error.is_redirect());
        },
        without_response("error", Some("redirect")),
    )
    .await;
}
