//! Statuses of errors, failed connections and failed bodies are errors.

use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use suite_tests::{
    net::{BoxError, Http, ResettableServer, Step, pooled_client, refusing_address},
    response::{full, scripted, with_status},
};
use tokio::sync::oneshot;
use tower::{ServiceExt, service_fn};

use crate::{
    exchange::{
        exchange, exchanges, failing_body, for_each_setup, get, never_responds, observed, read,
    },
    expected::{failed_body, with_code, without_response},
};

#[tokio::test]
async fn client_errors_and_server_errors_are_errors() {
    for (code, label) in [
        (StatusCode::NOT_FOUND, "404"),
        (StatusCode::INTERNAL_SERVER_ERROR, "500"),
    ] {
        exchanges(
            move |_| async move { Ok(with_status(code, full("sorry"))) },
            async |client, url| assert_eq!(read(client, url).await, "sorry"),
            with_code(code, label, Some(label)),
        )
        .await;
    }
}

#[tokio::test]
async fn a_refused_connection_is_an_error() {
    for_each_setup(|setup| async move {
        let (_socket, to) = refusing_address();
        observed(
            setup.backend,
            pooled_client(setup.http),
            to,
            async |client, url| {
                let error = client.oneshot(get(&url)).await.unwrap_err();
                assert!(error.is_connect());
            },
            without_response("error", Some("connection_refused")),
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_reset_before_the_response_is_an_error() {
    for_each_setup(|setup| async move {
        let (started_tx, started) = oneshot::channel();
        let server = ResettableServer::serve(service_fn(never_responds(started_tx))).await;
        observed(
            setup.backend,
            pooled_client(setup.http),
            server.address(),
            async |client, url| {
                let request = tokio::spawn(client.oneshot(get(&url)));
                started.await.unwrap();
                server.reset();
                request.await.unwrap().unwrap_err();
            },
            without_response("error", Some("connection_reset")),
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_closed_before_the_response_is_an_error() {
    for_each_setup(|setup| async move {
        let error = match setup.http {
            Http::One => "connection_closed",
            Http::Two => "_OTHER",
        };
        exchange(
            setup,
            |_| async { Err("no answer".into()) },
            async |client, url| {
                client.oneshot(get(&url)).await.unwrap_err();
            },
            without_response("error", Some(error)),
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_reset_during_the_body_is_an_error() {
    for_each_setup(|setup| async move {
        let error = match setup.http {
            Http::One => "connection_reset",
            Http::Two => "body",
        };
        let server = ResettableServer::serve(service_fn(|_: Request<Incoming>| async {
            Ok::<_, BoxError>(scripted([Step::Data("a"), Step::Pending]))
        }))
        .await;
        observed(
            setup.backend,
            pooled_client(setup.http),
            server.address(),
            async |client, url| {
                let mut body = client.oneshot(get(&url)).await.unwrap().into_body();
                body.frame().await.unwrap().unwrap();
                server.reset();
                body.frame().await.unwrap().unwrap_err();
            },
            failed_body(error),
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_body_that_the_server_fails_to_finish_is_an_error() {
    for_each_setup(|setup| async move {
        let error = match setup.http {
            Http::One => "connection_closed",
            Http::Two => "body",
        };
        let (fail, failure) = oneshot::channel();
        exchange(
            setup,
            failing_body(failure),
            async |client, url| {
                let mut body = client.oneshot(get(&url)).await.unwrap().into_body();
                body.frame().await.unwrap().unwrap();
                fail.send(()).unwrap();
                body.frame().await.unwrap().unwrap_err();
            },
            failed_body(error),
        )
        .await;
    })
    .await;
}
