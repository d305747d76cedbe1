//! A client that retries: every attempt has its own span and parent id, and only the trace headers of
//! the request change.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use opentelemetry::trace::SpanKind;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use reqwest_retry::{Jitter, RetryTransientMiddleware, policies::ExponentialBackoff};
use suite_tests::{
    net::serve,
    telemetry::{TestTelemetry, integer, text, with_timeout},
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
use tower_otel_core::{Attempts, Route, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

/// The requests that a server received.
type ReceivedRequests = Arc<Mutex<Vec<(http::request::Parts, Bytes)>>>;

/// Starts a server that responds 503 `times` times, then 200.
async fn failing(times: usize) -> (SocketAddr, ReceivedRequests) {
    let received_requests = ReceivedRequests::default();
    let address = serve(service_fn({
        let received_requests = received_requests.clone();
        move |request: Request<Incoming>| {
            let received_requests = received_requests.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let mut received_requests = received_requests.lock().unwrap();
                received_requests.push((head, body));
                let mut response = Response::new(Full::new(Bytes::from_static(b"answer")));
                if received_requests.len() <= times {
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                }
                Ok::<_, Infallible>(response)
            }
        }
    }))
    .await;
    (address, received_requests)
}

/// Returns a middleware with up to three retries, without delays.
fn retry() -> impl Middleware {
    let policy = ExponentialBackoff::builder()
        .retry_bounds(Duration::ZERO, Duration::ZERO)
        .jitter(Jitter::None)
        .build_with_max_retries(3);
    RetryTransientMiddleware::new_with_policy(policy)
}

/// Returns the span id in `traceparent`.
fn parent_id(headers: &HeaderMap) -> String {
    let traceparent = headers["traceparent"].to_str().unwrap();
    traceparent.split('-').nth(2).unwrap().to_owned()
}

fn trace_id(headers: &HeaderMap) -> String {
    let traceparent = headers["traceparent"].to_str().unwrap();
    traceparent.split('-').nth(1).unwrap().to_owned()
}

fn resends(telemetry: &TestTelemetry) -> Vec<Option<i64>> {
    let spans = telemetry.spans();
    let resends = spans
        .iter()
        .map(|s| integer(s, "http.request.resend_count"));
    resends.collect()
}

#[tokio::test]
async fn every_attempt_has_its_own_span_and_traceparent() {
    let telemetry = TestTelemetry::new();
    let (address, received_requests) = failing(2).await;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(retry())
        .with(observe((TraceLayer::client(), PropagateLayer::new())).into_middleware())
        .build();

    let response = client.get(format!("http://{address}/users/7")).send();
    let response = with_timeout("the third response", response).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.text().await.unwrap(), "answer");

    let spans = telemetry.spans();
    assert_eq!(resends(&telemetry), [None, Some(1), Some(2)]);
    assert!(spans.iter().all(|span| span.span_kind == SpanKind::Client));
    let errors: Vec<_> = spans.iter().map(|span| text(span, "error.type")).collect();
    assert_eq!(errors, [Some("503".into()), Some("503".into()), None]);

    let received_requests = received_requests.lock().unwrap();
    let received: Vec<_> = received_requests
        .iter()
        .map(|(head, _)| parent_id(&head.headers))
        .collect();
    let sent: Vec<_> = spans
        .iter()
        .map(|span| span.span_context.span_id().to_string())
        .collect();
    assert_eq!(received, sent, "each attempt sends its own span id");
    assert_ne!(sent[0], sent[1]);
    assert_ne!(sent[1], sent[2]);
}

#[tokio::test]
async fn attempts_in_an_outer_span_belong_to_its_trace() {
    let telemetry = TestTelemetry::new();
    let (address, received_requests) = failing(2).await;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(observe(TraceLayer::client()).into_middleware())
        .with(retry())
        .with(observe((TraceLayer::client(), PropagateLayer::new())).into_middleware())
        .build();

    let response = client.get(format!("http://{address}/")).send();
    let response = with_timeout("the third response", response).await.unwrap();
    response.bytes().await.unwrap();

    // The outer span ends last, with the body. It is not an attempt.
    assert_eq!(resends(&telemetry), [None, Some(1), Some(2), None]);
    let spans = telemetry.spans();
    let outer = spans.last().unwrap();
    for attempt in &spans[..3] {
        assert_eq!(attempt.parent_span_id, outer.span_context.span_id());
    }
    let trace = outer.span_context.trace_id().to_string();
    let received_requests = received_requests.lock().unwrap();
    assert!(
        received_requests
            .iter()
            .all(|(head, _)| trace_id(&head.headers) == trace)
    );
}

#[tokio::test]
async fn each_layer_alone_and_all_three_together_are_middleware() {
    let telemetry = TestTelemetry::new();
    let (address, received_requests) = failing(2).await;
    let url = format!("http://{address}/");
    let chains = [
        chain().with(observe(TraceLayer::client()).into_middleware()),
        chain().with(observe(MetricsLayer::client()).into_middleware()),
        chain().with(observe(PropagateLayer::new()).into_middleware()),
        chain().with(
            observe((
                TraceLayer::client(),
                MetricsLayer::client(),
                PropagateLayer::new(),
            ))
            .into_middleware(),
        ),
    ];
    for chain in chains {
        let client = chain.build();
        let response = with_timeout("the response", client.get(&url).send())
            .await
            .unwrap();
        response.bytes().await.unwrap();
    }
    // The first chain makes three attempts, the others one each.
    assert_eq!(received_requests.lock().unwrap().len(), 6);
    assert_eq!(telemetry.spans().len(), 4);
    assert_eq!(telemetry.sum("http_client_requests_total", &[]), 2.0);
    assert_eq!(telemetry.sum("http_client_requests_in_flight", &[]), 0.0);
}

fn chain() -> ClientBuilder {
    ClientBuilder::new(reqwest::Client::new()).with(retry())
}

#[tokio::test]
async fn layers_around_the_whole_chain_record_one_exchange() {
    let telemetry = TestTelemetry::new();
    let (address, received_requests) = failing(2).await;
    let mut client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(MetricsLayer::client())
        .layer(PropagateLayer::new())
        .service(chain().build());

    let request = reqwest::Request::new(Method::GET, format!("http://{address}/").parse().unwrap());
    let response = with_timeout("the third response", async {
        client.ready().await.unwrap().call(request).await
    });
    let response = response.await.unwrap();
    assert_eq!(response.url().as_str(), format!("http://{address}/"));
    response.bytes().await.unwrap();

    let spans = telemetry.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(integer(&spans[0], "http.response.status_code"), Some(200));
    assert_eq!(
        telemetry.sum("http_client_requests_total", &[("status", "200")]),
        1.0
    );
    let span = spans[0].span_context.span_id().to_string();
    let received_requests = received_requests.lock().unwrap();
    assert_eq!(received_requests.len(), 3);
    assert!(
        received_requests
            .iter()
            .all(|(head, _)| parent_id(&head.headers) == span)
    );
}

#[tokio::test]
async fn a_refused_connection_has_its_error_type_as_middleware_and_as_layer() {
    let telemetry = TestTelemetry::new();
    // A port that refuses connections.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);

    let inside = chain()
        .with(observe(TraceLayer::client()).into_middleware())
        .build();
    with_timeout("the refused connection", inside.get(&url).send())
        .await
        .unwrap_err();
    assert_eq!(telemetry.spans().len(), 4);

    let mut around = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .service(chain().build());
    let request = reqwest::Request::new(Method::GET, url.parse().unwrap());
    let refused = with_timeout("the refused connection", async {
        around.ready().await.unwrap().call(request).await
    });
    refused.await.unwrap_err();

    let spans = telemetry.spans();
    assert_eq!(spans.len(), 5);
    for span in spans {
        assert_eq!(
            text(&span, "error.type").as_deref(),
            Some("connection_refused")
        );
    }
}

#[tokio::test]
async fn a_client_timeout_has_its_error_type_as_middleware_and_as_layer() {
    let telemetry = TestTelemetry::new();
    let address = serve(service_fn(|_: Request<Incoming>| {
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    }))
    .await;
    let url = format!("http://{address}/");
    let client = reqwest::Client::builder()
        .timeout(Duration::from_millis(20))
        .build()
        .unwrap();

    let inside = ClientBuilder::new(client.clone())
        .with(observe(TraceLayer::client()).into_middleware())
        .build();
    let error = with_timeout("the timeout", inside.get(&url).send())
        .await
        .unwrap_err();
    assert!(error.is_timeout(), "the error is unchanged");

    let chain = ClientBuilder::new(client).with(retry()).build();
    let mut around = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .service(chain);
    let request = reqwest::Request::new(Method::GET, url.parse().unwrap());
    let timed_out = with_timeout("the timeout", async {
        around.ready().await.unwrap().call(request).await
    });
    timed_out.await.unwrap_err();

    let spans = telemetry.spans();
    assert_eq!(spans.len(), 2);
    for span in spans {
        assert_eq!(text(&span, "error.type").as_deref(), Some("timeout"));
    }
}

/// A request as the innermost middleware of a chain receives it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sent {
    method: Method,
    url: String,
    version: Option<Version>,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    timeout: Option<Duration>,
    mark: Option<Mark>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Mark(u8);

#[derive(Clone, Default)]
struct RecordRequests(Arc<Mutex<Vec<Sent>>>);

impl Middleware for RecordRequests {
    fn handle<'a, 'b, 'c, 'd>(
        &'a self,
        request: reqwest::Request,
        extensions: &'b mut Extensions,
        next: Next<'c>,
    ) -> std::pin::Pin<
        Box<dyn Future<Output = reqwest_middleware::Result<reqwest::Response>> + Send + 'd>,
    >
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
    {
        self.0.lock().unwrap().push(Sent {
            method: request.method().clone(),
            url: request.url().to_string(),
            version: Some(request.version()),
            headers: request.headers().clone(),
            body: request
                .body()
                .and_then(|body| body.as_bytes())
                .map(<[u8]>::to_vec),
            timeout: request.timeout().copied(),
            mark: extensions.get().copied(),
        });
        next.run(request, extensions)
    }
}

async fn send(client: ClientWithMiddleware, url: &str) -> reqwest::Response {
    let sending = client
        .post(url)
        .version(Version::HTTP_11)
        .header("x-first", "1")
        .header("x-first", "2")
        .timeout(Duration::from_secs(7))
        .body("the whole body")
        .with_extension(Mark(9))
        .send();
    with_timeout("the response", sending).await.unwrap()
}

#[tokio::test]
async fn only_the_trace_headers_of_a_request_change() {
    let _telemetry = TestTelemetry::new();
    let (address, received_requests) = failing(4).await;
    let url = format!("http://{address}/a%20b?c=d&e=%2F");

    let bare = RecordRequests::default();
    let client = chain().with(bare.clone()).build();
    assert_eq!(send(client, &url).await.status(), 503);
    received_requests.lock().unwrap().clear();

    let observed_requests = RecordRequests::default();
    let observed = (
        TraceLayer::client(),
        MetricsLayer::client(),
        PropagateLayer::new(),
    );
    let client = chain()
        .with(observe(observed).into_middleware())
        .with(observed_requests.clone())
        .build();
    let response = send(client, &url).await;
    assert_eq!(response.status(), 503);
    assert_eq!(response.url().as_str(), url);
    assert_eq!(response.version(), Version::HTTP_11);
    assert_eq!(response.content_length(), Some(6));
    assert!(response.remote_addr().is_some());
    assert_eq!(response.bytes().await.unwrap(), "answer");

    let bare = bare.0.lock().unwrap();
    let mut observed_requests = observed_requests.0.lock().unwrap();
    for sent in &mut *observed_requests {
        assert!(sent.headers.remove("traceparent").is_some());
    }
    assert_eq!(*observed_requests, *bare);
    assert_eq!(bare.len(), 4);
    assert_eq!(bare[3].body.as_deref(), Some(&b"the whole body"[..]));
    assert_eq!(bare[3].timeout, Some(Duration::from_secs(7)));
    assert_eq!(bare[3].mark, Some(Mark(9)));
    let received_requests = received_requests.lock().unwrap();
    assert!(
        received_requests
            .iter()
            .all(|(_, body)| body == "the whole body")
    );
}

#[tokio::test]
async fn request_extensions_of_the_chain_are_read() {
    let telemetry = TestTelemetry::new();
    let (address, _) = failing(0).await;
    let client = chain()
        .with(observe(TraceLayer::client()).into_middleware())
        .build();

    let counted = Attempts::default();
    let mut earlier = Extensions::new();
    earlier.insert(counted.clone());
    assert_eq!(Attempts::begin(&earlier), None);

    let sending = client
        .get(format!("http://{address}/users/7"))
        .with_extension(Route::from("/users/{id}"))
        .with_extension(counted)
        .send();
    with_timeout("the response", sending)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();

    let spans = telemetry.spans();
    assert_eq!(
        text(&spans[0], "url.template").as_deref(),
        Some("/users/{id}")
    );
    assert_eq!(resends(&telemetry), [Some(1)], "a started count continues");
}

#[tokio::test]
async fn a_dropped_attempt_is_counted() {
    /// A middleware that drops the first attempt after its request was sent, and then makes another attempt.
    struct DropsFirstAttempt;

    #[allow(clippy::type_complexity)]
    impl Middleware for DropsFirstAttempt {
        fn handle<'a, 'b, 'c, 'd>(
            &'a self,
            request: reqwest::Request,
            extensions: &'b mut Extensions,
            next: Next<'c>,
        ) -> std::pin::Pin<
            Box<dyn Future<Output = reqwest_middleware::Result<reqwest::Response>> + Send + 'd>,
        >
        where
            'a: 'd,
            'b: 'd,
            'c: 'd,
        {
            Box::pin(async move {
                let again = request.try_clone().unwrap();
                let first = next.clone().run(request, extensions);
                tokio::select! {
                    biased;
                    response = first => return response,
                    () = tokio::task::yield_now() => {}
                }
                next.run(again, extensions).await
            })
        }
    }

    let telemetry = TestTelemetry::new();
    let (address, _) = failing(0).await;
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(DropsFirstAttempt)
        .with(observe(TraceLayer::client()).into_middleware())
        .build();
    let sending = client.get(format!("http://{address}/")).send();
    with_timeout("the response", sending)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    assert_eq!(resends(&telemetry), [None, Some(1)]);
}
