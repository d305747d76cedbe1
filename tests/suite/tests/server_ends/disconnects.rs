//! A client that disconnects cancels the exchange or aborts its body.

use std::{
    convert::Infallible,
    future::{Future, pending, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    thread,
    time::Duration,
};

use http::Request;
use http_body_util::BodyExt;
use suite_tests::{
    backend::Backend,
    net::Step,
    response::{BoxedResponse, full, scripted},
    telemetry::{TestTelemetry, text, with_timeout},
};
use tokio::sync::Notify;
use tower::{Layer, ServiceExt, service_fn};
use tower_otel_trace::TraceLayer;

use crate::exchange::{aborted, exchange, get, without_response};

#[tokio::test]
async fn a_disconnect_before_the_response_is_cancelled() {
    let started = Arc::new(Notify::new());
    let handler_started = Arc::clone(&started);
    exchange(
        move |_| {
            handler_started.notify_one();
            pending()
        },
        async |mut connection| {
            tokio::select! {
                _ = connection.send(get()) => panic!("unexpected response"),
                () = with_timeout("the handler runs", started.notified()) => {}
            }
            connection.close();
        },
        without_response("cancelled", "cancelled"),
    )
    .await;
}

#[tokio::test]
async fn a_disconnect_during_the_body_is_aborted() {
    exchange(
        |_| async { Ok(scripted([Step::Data("a"), Step::Pending])) },
        async |mut connection| {
            let mut body = connection.send(get()).await.unwrap().into_body();
            body.frame().await.unwrap().unwrap();
            connection.close();
        },
        aborted("aborted"),
    )
    .await;
}

/// The exchange is not polled before the drop, so only the drop can set the end time.
#[tokio::test]
async fn a_cancelled_or_aborted_span_ends_when_it_is_dropped() {
    const PAUSE: Duration = Duration::from_millis(30);
    for backend in Backend::ALL {
        let telemetry = TestTelemetry::new();
        let layer = || backend.layer(telemetry.source(), TraceLayer::server());

        let pending_service =
            service_fn(|_: Request<()>| pending::<Result<BoxedResponse, Infallible>>());
        let mut before_response = pin!(Some(
            layer().layer(pending_service).oneshot(Request::new(()))
        ));
        let cx = &mut Context::from_waker(Waker::noop());
        let polled = before_response.as_mut().as_pin_mut().unwrap().poll(cx);
        assert!(polled.is_pending());
        thread::sleep(PAUSE);
        before_response.set(None);

        let respond = |_: Request<()>| ready(Ok::<_, Infallible>(full("whole")));
        let head = layer().layer(service_fn(respond)).oneshot(Request::new(()));
        let response = head.await.unwrap();
        thread::sleep(PAUSE);
        drop(response);

        let spans = telemetry.spans();
        let errors: Vec<_> = spans.iter().map(|span| text(span, "error.type")).collect();
        assert_eq!(
            errors,
            ["cancelled", "aborted"].map(|error| Some(error.into()))
        );
        for span in spans {
            let duration = span.end_time.duration_since(span.start_time).unwrap();
            assert!(duration >= PAUSE, "{backend:?}: {duration:?}");
        }
    }
}
