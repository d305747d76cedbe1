//! Layers in a `tower::buffer`, whose worker goes on.

use std::{
    convert::Infallible,
    fmt::Debug,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Poll,
};

use http::{Request, Response};
use suite_tests::telemetry::{TestTelemetry, text, with_timeout};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, buffer::Buffer, service_fn};
use tower_otel_core::{Filter, RequestHead, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

use crate::{
    callback::{Callback::TraceFilter, Payload},
    case::{Case, Inner, cases, hello},
};

/// Returns the response of a service in a `tower::buffer`, or the panic payload of the exchange.
async fn buffered<F, R>(service: Buffer<Request<()>, F>) -> Result<R, Payload>
where
    F: Future<Output = Result<R, Infallible>> + Send + 'static,
{
    let request = Request::get("http://api.example/").body(()).unwrap();
    let mut exchange = pin!(service.oneshot(request));
    let caught = poll_fn(|cx| {
        let poll = catch_unwind(AssertUnwindSafe(|| exchange.as_mut().poll(cx)));
        match poll {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(response)) => Poll::Ready(Ok(response)),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    });
    match with_timeout("the exchange", caught).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(error)) => panic!("the buffer fails: {error}"),
        Err(panic) => Err(*panic.downcast::<Payload>().expect("a panic of a function")),
    }
}

/// Sends two requests through a `tower::buffer` around the layers. Both panic.
fn run_buffered<S, B>(case: &Case, layer: impl Layer<Inner, Service = S>)
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible, Future: Send>
        + Send
        + 'static,
    B: Debug + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(async {
        let service = Buffer::new(layer.layer(service_fn(hello as fn(_) -> _)), 4);
        for _ in 0..2 {
            let response = buffered(service.clone()).await;
            let panic = response.err();
            assert_eq!(panic, Some(Payload(case.callback)), "{case:?}");
        }
    });
}

#[test]
fn the_worker_of_a_buffer_goes_on_if_a_function_panics() {
    cases(|case| {
        let metrics = (case.metrics(), case.otel_metrics());
        let layers = (case.trace(), metrics, case.callback.propagate());
        run_buffered(&case, observe(layers));
        case.assert_all_panicked(2);
    });
}

#[test]
fn the_worker_of_a_buffer_goes_on_if_a_function_of_a_separate_layer_panics() {
    cases(|case| {
        let layers = ServiceBuilder::new()
            .layer(case.trace())
            .layer(case.metrics())
            .layer(case.callback.propagate());
        run_buffered(&case, layers.into_inner());
        case.assert_spans_panicked(2);
        assert_eq!(case.in_flight(), 0.0, "{case:?}");
    });
}

#[tokio::test]
async fn the_next_request_after_a_panic_is_served() {
    let telemetry = TestTelemetry::new();
    let panics = Arc::new(AtomicBool::new(true));
    let filter = Filter::new(move |_: &dyn RequestHead| {
        if panics.swap(false, Relaxed) {
            TraceFilter.panic();
        }
        true
    });
    let layer = observe((TraceLayer::server().filter(filter), MetricsLayer::server()));
    let service = layer.layer(service_fn(hello as fn(_) -> _));
    let service = Buffer::new(service, 4);
    let first = buffered(service.clone()).await;
    assert_eq!(first.err(), Some(Payload(TraceFilter)));
    assert!(buffered(service).await.is_ok());
    let errors: Vec<_> = telemetry
        .spans()
        .iter()
        .map(|span| text(span, "error.type"))
        .collect();
    assert_eq!(errors[0].as_deref(), Some("panic"));
    assert_eq!(errors.len(), 2);
    assert_eq!(
        telemetry.sum("http_requests_total", &[("status", "200")]),
        1.0
    );
}
