//! Runs one exchange of `reqwest::Client` as a tower service.

use std::{future::Future, time::Duration};

use http::{Method, Request};
use hyper::body::Incoming;
use suite_tests::{
    backend::Backend,
    net::{BoxError, serve},
    response::BoxedResponse,
    telemetry::{integer, text},
};
use tokio::sync::oneshot;
use tower::service_fn;

use crate::{
    exchange::{Layered, never_responds, observed},
    expected::Expected,
};

/// Returns a client without a proxy. Its timeout elapses only when a test pauses the clock.
pub(crate) fn reqwest_client() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .unwrap()
}

pub(crate) async fn reqwest_exchange<H, F>(
    backend: Backend,
    handle: H,
    drive: impl AsyncFnOnce(Layered<reqwest::Client>, String),
    expected: Expected,
) where
    H: FnMut(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<BoxedResponse, BoxError>> + Send + 'static,
{
    let to = serve(service_fn(handle)).await;
    let span = observed(backend, reqwest_client(), to, drive, expected).await;
    let has_response = expected.code.is_some();
    assert_eq!(
        text(&span, "network.protocol.version"),
        has_response.then(|| "1.1".to_owned())
    );
    assert_eq!(
        integer(&span, "network.peer.port"),
        has_response.then(|| i64::from(to.port()))
    );
}

/// Runs the exchange with every span backend.
pub(crate) async fn reqwest_exchanges<H, F>(
    handle: H,
    drive: impl AsyncFn(Layered<reqwest::Client>, String),
    expected: Expected,
) where
    H: FnMut(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<BoxedResponse, BoxError>> + Send + 'static,
{
    for backend in Backend::ALL {
        reqwest_exchange(backend, handle.clone(), &drive, expected).await;
    }
}

/// Runs the exchange with every span backend and a server that never responds. `drive` receives the signal that the
/// server has the request.
pub(crate) async fn reqwest_exchanges_without_response(
    drive: impl AsyncFn(Layered<reqwest::Client>, String, oneshot::Receiver<()>),
    expected: Expected,
) {
    for backend in Backend::ALL {
        let (started_tx, started) = oneshot::channel();
        reqwest_exchange(
            backend,
            never_responds(started_tx),
            async |client, url| drive(client, url, started).await,
            expected,
        )
        .await;
    }
}

pub(crate) fn reqwest_get(url: &str) -> reqwest::Request {
    reqwest::Request::new(Method::GET, url.parse().unwrap())
}
