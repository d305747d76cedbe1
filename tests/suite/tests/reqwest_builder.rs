//! Requests of reqwest's builder, sent through layers over real sockets.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    future::{Future, pending},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    routing::{get, post},
};
use http::HeaderMap;
use suite_tests::telemetry::{TestTelemetry, integer, text, with_timeout};
use tokio::net::TcpListener;
use tower::{BoxError, Layer, ServiceBuilder, util::BoxCloneSyncService};
use tower_otel_core::{Observed, RequestBuilderExt, observe};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

/// A client in the state of an application: its type has a name, and it implements `Clone`.
type Client = Observed<reqwest::Client, (TraceLayer, MetricsLayer, PropagateLayer)>;

fn http() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().build().unwrap()
}

fn layered(http: &reqwest::Client) -> Client {
    let layers = (
        TraceLayer::client(),
        MetricsLayer::client(),
        PropagateLayer::new(),
    );
    observe(layers).layer(http.clone())
}

/// Serves `/echo`, which returns the body, `/parent`, which returns the `traceparent`, and `/slow`, which never responds.
async fn serve() -> String {
    let app = Router::new()
        .route("/echo", post(|body: String| async { body }))
        .route(
            "/parent",
            get(|headers: HeaderMap| async move {
                let parent = headers.get("traceparent").unwrap();
                parent.to_str().unwrap().to_owned()
            }),
        )
        .route("/slow", get(pending::<()>));
    spawn(app).await
}

async fn spawn(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, app).await });
    format!("http://{address}")
}

/// Runs `test` with the URL of the server.
async fn run<F: Future<Output = ()>>(test: impl FnOnce(String) -> F) -> TestTelemetry {
    let telemetry = TestTelemetry::new();
    with_timeout("the test", async { test(serve().await).await }).await;
    telemetry
}

#[tokio::test]
async fn a_request_of_the_builder_is_sent_by_a_borrowed_service_and_by_a_clone() {
    let telemetry = run(|url| async move {
        let http = http();
        let mut client = layered(&http);
        let parent = format!("{url}/parent");
        let first = http.get(&parent).send_with(&mut client).await.unwrap();
        let second = http.get(&parent).send_with(client.clone()).await.unwrap();
        let parents = [first.text().await.unwrap(), second.text().await.unwrap()];
        assert_ne!(parents[0], parents[1]);
        assert!(parents.iter().all(|parent| parent.starts_with("00-")));
    })
    .await;
    let spans = telemetry.spans();
    assert_eq!(spans.len(), 2);
    for span in &spans {
        assert_eq!(integer(span, "http.response.status_code"), Some(200));
    }
    assert_eq!(
        telemetry.sum("http_client_requests_total", &[("status", "200")]),
        2.0
    );
}

#[tokio::test]
async fn a_streamed_body_arrives() {
    run(|url| async move {
        let parts = ["a", "b", "c"].map(Ok::<_, BoxError>);
        let body = reqwest::Body::wrap_stream(tokio_stream::iter(parts));
        let http = http();
        let request = http.post(format!("{url}/echo")).body(body);
        let response = request.send_with(layered(&http)).await.unwrap();
        assert_eq!(response.text().await.unwrap(), "abc");
    })
    .await;
}

#[tokio::test]
async fn the_timeout_of_the_builder_is_an_error_of_reqwest_and_of_the_span() {
    let telemetry = run(|url| async move {
        let http = http();
        let request = http.get(format!("{url}/slow"));
        let request = request.timeout(Duration::from_millis(20));
        let error = request.send_with(layered(&http)).await.unwrap_err();
        assert!(error.is_timeout(), "{error:?}");
    })
    .await;
    let spans = telemetry.spans();
    assert_eq!(text(&spans[0], "error.type").as_deref(), Some("timeout"));
}

#[tokio::test]
async fn an_invalid_builder_is_the_error_that_reqwest_returns_and_no_request() {
    let telemetry = run(|_| async {
        let http = http();
        let invalid = || http.get("no url").header("x", "\n");
        let expected = invalid().send().await.unwrap_err();
        let error = invalid().send_with(layered(&http)).await.unwrap_err();
        assert!(error.is_builder());
        assert_eq!(error.to_string(), expected.to_string());
    })
    .await;
    assert!(telemetry.spans().is_empty());
    assert_eq!(telemetry.sum("http_client_requests_total", &[]), 0.0);
}

#[tokio::test]
async fn errors_of_other_layers_and_boxed_services_are_accepted() {
    run(|url| async move {
        let http = http();
        let client: BoxCloneSyncService<reqwest::Request, reqwest::Response, BoxError> =
            ServiceBuilder::new()
                .boxed_clone_sync()
                .timeout(Duration::from_millis(20))
                .service(layered(&http));
        let slow = http.get(format!("{url}/slow"));
        let error = slow.send_with(client.clone()).await.unwrap_err();
        assert!(error.is::<tower::timeout::error::Elapsed>(), "{error:?}");
        let invalid = http.get("no url").send_with(client).await.unwrap_err();
        assert!(invalid.downcast::<reqwest::Error>().unwrap().is_builder());
    })
    .await;
}

#[derive(Clone)]
struct App {
    http: reqwest::Client,
    stock: Client,
    url: Arc<Mutex<String>>,
}

async fn item(State(app): State<App>) -> String {
    let url = app.url.lock().unwrap().clone();
    let response = app.http.get(url).send_with(app.stock).await.unwrap();
    response.text().await.unwrap()
}

#[tokio::test]
async fn a_handler_sends_with_the_client_in_its_state() {
    let telemetry = run(|url| async move {
        let http = http();
        let app = App {
            stock: layered(&http),
            http: http.clone(),
            url: Arc::new(Mutex::new(format!("{url}/parent"))),
        };
        let shop = spawn(Router::new().route("/item", get(item)).with_state(app)).await;
        let response = http.get(format!("{shop}/item")).send().await.unwrap();
        assert!(response.text().await.unwrap().starts_with("00-"));
    })
    .await;
    assert_eq!(telemetry.spans().len(), 1);
}
