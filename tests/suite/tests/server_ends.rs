//! Every end of a server's exchange, over real sockets: told once by the span, the counter, the
//! histogram and the gauge alike, with the same `error.type`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    convert::Infallible,
    future::{Future, pending, ready},
    pin::pin,
    sync::Arc,
    task::{Context, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use opentelemetry::trace::{SpanKind, Status};
use suite_tests::{
    backend::Backend,
    net::{BoxError, Http, Script, Step, Wire, serve},
    scene::{Scene, by_the_conventions, counted_as, integer, text, within},
};
use tokio::sync::Notify;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_otel_core::RequestHead;
use tower_otel_metrics::MetricsLayer;
use tower_otel_trace::TraceLayer;

type Answer = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// What has to be told about an exchange, once.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// The label of the counter.
    status: &'static str,
    /// The status code of the span.
    code: Option<i64>,
    error: Option<&'static str>,
    /// Whether the body was cut short.
    aborted: bool,
}

const COMPLETE: Told = Told {
    status: "200",
    code: Some(200),
    error: None,
    aborted: false,
};

fn answer<B>(body: B) -> Answer
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    Response::new(body.map_err(Into::into).boxed_unsync())
}

/// Serves `handle` behind both layers, lets `client` talk to it, and checks what was told.
async fn exchange<H, F, C>(http: Http, handle: H, client: impl Fn(Wire) -> C, told: Told)
where
    H: FnMut(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Answer, BoxError>> + Send + 'static,
    C: Future<Output = ()>,
{
    for backend in Backend::ALL {
        let scene = Scene::new();
        let route = |_: &dyn RequestHead| Some("/things/{id}".into());
        let spans = TraceLayer::server().route(route);
        let metrics = MetricsLayer::server().route(route);
        let service = ServiceBuilder::new()
            .layer(backend.layer(scene.source(), spans))
            .layer(metrics)
            .layer(by_the_conventions(MetricsLayer::server()))
            .service(service_fn(handle.clone()));
        let address = serve(service).await;
        client(Wire::connect(http, address).await).await;
        settled(&scene, told).await;
    }
}

async fn settled(scene: &Scene, told: Told) {
    scene
        .until("the exchange ends", |scene| {
            !scene.spans().is_empty()
                && scene.sum("http_requests_total", &[]) > 0.0
                && scene.sum("http_requests_in_flight", &[]) == 0.0
        })
        .await;
    let spans = scene.spans();
    let [span] = spans.as_slice() else {
        panic!("one span, not {spans:#?}");
    };
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(integer(span, "http.response.status_code"), told.code);
    assert_eq!(text(span, "error.type").as_deref(), told.error);
    assert_eq!(
        span.status,
        match told.error {
            Some(_) => Status::error(""),
            None => Status::Unset,
        }
    );
    counted_as(scene, "server", told.error);
    let path = ("path", "/things/{id}");
    let metrics = scene.metrics();
    for (metric, labels, value) in [
        (
            "http_requests_total",
            &[path, ("status", told.status)][..],
            1.0,
        ),
        ("http_requests_total", &[], 1.0),
        ("http_request_duration_seconds_count", &[path], 1.0),
        ("http_request_duration_seconds_count", &[], 1.0),
        (
            "http_responses_aborted_total",
            &[],
            f64::from(u8::from(told.aborted)),
        ),
        ("http_requests_in_flight", &[], 0.0),
    ] {
        assert_eq!(
            scene.sum(metric, labels),
            value,
            "{metric}{labels:?} in\n{metrics}"
        );
    }
}

fn get() -> Request<Empty<Bytes>> {
    request(Method::GET)
}

fn request(method: Method) -> Request<Empty<Bytes>> {
    Request::builder()
        .method(method)
        .uri("http://127.0.0.1/things/7")
        .header(header::HOST, "127.0.0.1")
        .header(header::TE, "trailers")
        .body(Empty::new())
        .unwrap()
}

/// Reads a response to its end, however that is.
async fn read(mut wire: Wire, request: Request<Empty<Bytes>>) {
    if let Ok(response) = wire.send(request).await {
        let _ = response.into_body().collect().await;
    }
}

async fn both<T: Future<Output = ()>>(test: impl Fn(Http) -> T) {
    for http in [Http::One, Http::Two] {
        test(http).await;
    }
}

#[tokio::test]
async fn a_body_with_a_content_length_that_is_never_polled_past_its_end() {
    both(|http| {
        exchange(
            http,
            |_| async { Ok(answer(Full::new(Bytes::from_static(b"whole")))) },
            |wire| read(wire, get()),
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn a_stream_with_a_content_length_of_its_own() {
    both(|http| {
        exchange(
            http,
            |_| async {
                let mut response = answer(Script::of([Step::Data("who"), Step::Data("le")]));
                let length = HeaderValue::from_static("5");
                response
                    .headers_mut()
                    .insert(header::CONTENT_LENGTH, length);
                Ok(response)
            },
            |wire| read(wire, get()),
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn a_stream_of_unknown_length() {
    both(|http| {
        exchange(
            http,
            |_| async { Ok(answer(Script::of([Step::Data("a"), Step::Data("b")]))) },
            |wire| read(wire, get()),
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn a_stream_with_trailers() {
    both(|http| {
        exchange(
            http,
            |_| async {
                let mut response = answer(Script::of([Step::Data("a"), Step::Trailers]));
                let names = HeaderValue::from_static("x-checked");
                response.headers_mut().insert(header::TRAILER, names);
                Ok(response)
            },
            |wire| read(wire, get()),
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn an_empty_body() {
    both(|http| {
        exchange(
            http,
            |_| async { Ok(answer(Empty::new())) },
            |wire| read(wire, get()),
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn head_has_no_body_even_if_the_handler_made_one() {
    both(|http| {
        exchange(
            http,
            |_| async { Ok(answer(Script::of([Step::Data("dropped unread")]))) },
            |wire| read(wire, request(Method::HEAD)),
            COMPLETE,
        )
    })
    .await;
}

#[tokio::test]
async fn no_content_and_not_modified_have_no_body() {
    for (status, label) in [
        (StatusCode::NO_CONTENT, "204"),
        (StatusCode::NOT_MODIFIED, "304"),
    ] {
        both(|http| {
            exchange(
                http,
                move |_| async move {
                    let mut response = answer(Script::of([Step::Data("dropped unread")]));
                    *response.status_mut() = status;
                    Ok(response)
                },
                |wire| read(wire, get()),
                Told {
                    status: label,
                    code: Some(i64::from(status.as_u16())),
                    ..COMPLETE
                },
            )
        })
        .await;
    }
}

#[tokio::test]
async fn a_server_error_is_an_error_and_a_client_error_is_not() {
    for (status, label, error) in [
        (StatusCode::INTERNAL_SERVER_ERROR, "500", Some("500")),
        (StatusCode::NOT_FOUND, "404", None),
    ] {
        both(|http| {
            exchange(
                http,
                move |_| async move {
                    let mut response = answer(Full::new(Bytes::from_static(b"sorry")));
                    *response.status_mut() = status;
                    Ok(response)
                },
                |wire| read(wire, get()),
                Told {
                    status: label,
                    code: Some(i64::from(status.as_u16())),
                    error,
                    ..COMPLETE
                },
            )
        })
        .await;
    }
}

#[tokio::test]
async fn a_service_that_fails() {
    both(|http| {
        exchange(
            http,
            |_| async { Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()) },
            |wire| read(wire, get()),
            Told {
                status: "error",
                code: None,
                error: Some("timeout"),
                aborted: false,
            },
        )
    })
    .await;
}

#[tokio::test]
async fn a_body_that_fails() {
    both(|http| {
        exchange(
            http,
            |_| async { Ok(answer(Script::of([Step::Data("a"), Step::Error]))) },
            |wire| read(wire, get()),
            Told {
                error: Some("timeout"),
                aborted: true,
                ..COMPLETE
            },
        )
    })
    .await;
}

#[tokio::test]
async fn a_client_that_hangs_up_before_the_head() {
    both(|http| async move {
        let begun = Arc::new(Notify::new());
        let begins = Arc::clone(&begun);
        exchange(
            http,
            move |_| {
                begins.notify_one();
                pending()
            },
            |mut wire| {
                let begun = Arc::clone(&begun);
                async move {
                    tokio::select! {
                        _ = wire.send(get()) => panic!("nobody answers"),
                        () = within("the handler runs", begun.notified()) => {}
                    }
                    wire.cut();
                }
            },
            Told {
                status: "cancelled",
                code: None,
                error: Some("cancelled"),
                aborted: false,
            },
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_hangs_up_during_the_body() {
    both(|http| {
        exchange(
            http,
            |_| async { Ok(answer(Script::of([Step::Data("a"), Step::Stall]))) },
            |mut wire| async move {
                let mut body = wire.send(get()).await.unwrap().into_body();
                body.frame().await.unwrap().unwrap();
                wire.cut();
            },
            Told {
                error: Some("aborted"),
                aborted: true,
                ..COMPLETE
            },
        )
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_panics_while_it_is_polled() {
    both(|http| {
        exchange(
            http,
            |_| async { panic!("the handler panics") },
            |wire| read(wire, get()),
            Told {
                status: "panic",
                code: None,
                error: Some("panic"),
                aborted: false,
            },
        )
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_panics_when_it_is_called() {
    both(|http| {
        exchange(
            http,
            |_| -> std::future::Ready<Result<Answer, BoxError>> { panic!("the call panics") },
            |wire| read(wire, get()),
            Told {
                status: "panic",
                code: None,
                error: Some("panic"),
                aborted: false,
            },
        )
    })
    .await;
}

#[tokio::test]
async fn a_body_that_panics() {
    both(|http| {
        exchange(
            http,
            |_| async { Ok(answer(Script::of([Step::Data("a"), Step::Panic]))) },
            |wire| read(wire, get()),
            Told {
                error: Some("panic"),
                aborted: true,
                ..COMPLETE
            },
        )
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_ends_with_its_handshake() {
    exchange(
        Http::One,
        |_| async {
            let mut response = answer(Empty::new());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("echo"));
            Ok(response)
        },
        |mut wire| async move {
            let mut request = get();
            let headers = request.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("echo"));
            let response = wire.send(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        },
        Told {
            status: "101",
            code: Some(101),
            ..COMPLETE
        },
    )
    .await;
}

/// Nobody polls it meanwhile, so nothing but the drop can say when it ended.
#[tokio::test]
async fn a_span_that_is_given_up_ends_when_it_is_dropped() {
    const PAUSE: Duration = Duration::from_millis(30);
    for backend in Backend::ALL {
        let scene = Scene::new();
        let layer = || backend.layer(scene.source(), TraceLayer::server());

        let never = service_fn(|_: Request<()>| pending::<Result<Answer, Infallible>>());
        let mut before_the_head = pin!(Some(layer().layer(never).oneshot(Request::new(()))));
        let cx = &mut Context::from_waker(Waker::noop());
        let polled = before_the_head.as_mut().as_pin_mut().unwrap().poll(cx);
        assert!(polled.is_pending());
        thread::sleep(PAUSE);
        before_the_head.set(None);

        let whole = |_: Request<()>| ready(Ok::<_, Infallible>(answer(Full::from("whole"))));
        let head = layer().layer(service_fn(whole)).oneshot(Request::new(()));
        let in_the_body = head.await.unwrap();
        thread::sleep(PAUSE);
        drop(in_the_body);

        let spans = scene.spans();
        let errors: Vec<_> = spans.iter().map(|span| text(span, "error.type")).collect();
        assert_eq!(
            errors,
            ["cancelled", "aborted"].map(|error| Some(error.into()))
        );
        for span in spans {
            let lasted = span.end_time.duration_since(span.start_time).unwrap();
            assert!(lasted >= PAUSE, "{backend:?}: {lasted:?}");
        }
    }
}
