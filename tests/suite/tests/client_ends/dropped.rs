//! Requests and bodies that the client drops are no errors.

use http_body_util::{BodyExt, Empty};
use suite_tests::{
    backend::Backend,
    net::{BoxError, Step},
    response::{boxed_response, full, scripted},
};
use tokio::sync::oneshot;
use tower::{Service, ServiceExt, service_fn};

use crate::{
    exchange::{UNREACHABLE, exchange, exchanges, for_each_setup, get, never_responds, observed},
    expected::{COMPLETE, without_response},
};

#[tokio::test]
async fn a_request_dropped_before_the_response_is_not_an_error() {
    for_each_setup(|setup| async move {
        let (started_tx, started) = oneshot::channel();
        exchange(
            setup,
            never_responds(started_tx),
            async |client, url| {
                tokio::select! {
                    _ = client.oneshot(get(&url)) => panic!("unexpected response"),
                    result = started => result.unwrap(),
                }
            },
            without_response("cancelled", None),
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_body_dropped_before_its_end_is_not_an_error() {
    exchanges(
        |_| async { Ok(scripted([Step::Data("a"), Step::Pending])) },
        async |client, url| {
            let mut body = client.oneshot(get(&url)).await.unwrap().into_body();
            body.frame().await.unwrap().unwrap();
        },
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn an_unread_body_is_not_an_error() {
    exchanges(
        |_| async { Ok(full("whole")) },
        async |client, url| {
            client.oneshot(get(&url)).await.unwrap();
        },
        COMPLETE,
    )
    .await;
}

#[tokio::test]
async fn a_future_that_is_never_polled_is_cancelled() {
    let inner = service_fn(|_| async { Ok::<_, BoxError>(boxed_response(Empty::new())) });
    for backend in Backend::ALL {
        observed(
            backend,
            inner,
            UNREACHABLE,
            async |mut client, url| drop(client.call(get(&url))),
            without_response("cancelled", None),
        )
        .await;
    }
}
