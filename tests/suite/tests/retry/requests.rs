//! Only the trace headers of a request change.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Extensions, HeaderMap, Method, Version};
use reqwest_middleware::{ClientWithMiddleware, Middleware, Next};
use suite_tests::telemetry::{TestTelemetry, with_timeout};
use tower_otel_core::observe;
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

use crate::server::{chain, failing};

/// A request as the innermost middleware of a chain receives it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sent {
    method: Method,
    url: String,
    version: Option<Version>,
    pub(crate) headers: HeaderMap,
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
