//! The server receives the id of the span, and errors and readiness are those of the inner client.

use std::{
    sync::{Arc, Mutex},
    task::Poll,
};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use suite_tests::{
    backend::Backend,
    net::{Http, infallible, pooled_client, refusing_address},
    response::{BoxedResponse, boxed_response},
    telemetry::TestTelemetry,
};
use tower::{Service, ServiceExt};

use crate::{
    exchange::{
        for_each_setup, get, layered, observed, read, traceparent, traceparent_server, url,
    },
    expected::COMPLETE,
};

#[tokio::test]
async fn the_server_receives_the_id_of_the_exported_span() {
    for_each_setup(|setup| async move {
        let received_parents = Arc::new(Mutex::new(Vec::new()));
        let to = traceparent_server(received_parents.clone()).await;
        let span = observed(
            setup.backend,
            pooled_client(setup.http),
            to,
            async |client, url| assert_eq!(read(client, url).await, ""),
            COMPLETE,
        )
        .await;
        assert_eq!(*received_parents.lock().unwrap(), [traceparent(&span)]);
    })
    .await;
}

#[tokio::test]
async fn a_client_error_keeps_its_type_and_its_sources() {
    let telemetry = TestTelemetry::new();
    let (_socket, to) = refusing_address();
    let bare = pooled_client(Http::One)
        .oneshot(get(&url(to)))
        .await
        .unwrap_err();
    for backend in Backend::ALL {
        let client = layered(backend, &telemetry, pooled_client(Http::One));
        let response: Result<_, hyper_util::client::legacy::Error> =
            client.oneshot(get(&url(to))).await;
        assert_eq!(format!("{:?}", response.unwrap_err()), format!("{bare:?}"));
    }
}

#[tokio::test]
async fn a_client_is_ready_when_the_inner_client_is_ready() {
    let telemetry = TestTelemetry::new();
    for backend in Backend::ALL {
        let mut polls = 0;
        let inner = tower::util::BoxService::new(ReadyOnSecondPoll(false));
        let mut client = layered(backend, &telemetry, inner);
        std::future::poll_fn(|cx| {
            polls += 1;
            match client.poll_ready(cx) {
                Poll::Pending => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                ready => ready,
            }
        })
        .await
        .map_err(infallible)
        .unwrap();
        assert_eq!(polls, 2);
    }
}

/// A service that is ready on the second poll.
struct ReadyOnSecondPoll(bool);

impl Service<Request<Empty<Bytes>>> for ReadyOnSecondPoll {
    type Response = BoxedResponse;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<BoxedResponse, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        if std::mem::replace(&mut self.0, true) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
        std::future::ready(Ok(boxed_response(Empty::new())))
    }
}
