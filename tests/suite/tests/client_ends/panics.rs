//! A client that panics is recorded as `panic`.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use suite_tests::{backend::Backend, net::BoxError, response::BoxedResponse};
use tower::{Service, ServiceExt, service_fn};

use crate::{
    exchange::{Layered, UNREACHABLE, get, observed},
    expected::without_response,
};

/// Sends a request to a service that panics, and checks that the panic continues.
async fn panics<S>(client: Layered<S>, url: String)
where
    S: Service<Request<Empty<Bytes>>, Response = BoxedResponse, Error = BoxError> + Send + 'static,
    S::Future: Send,
{
    let sent = tokio::spawn(async move { client.oneshot(get(&url)).await.map(drop) });
    assert!(sent.await.unwrap_err().is_panic());
}

#[tokio::test]
async fn a_client_that_panics_in_call_is_recorded_as_panic() {
    let inner = service_fn(|_| -> std::future::Ready<Result<BoxedResponse, BoxError>> {
        panic!("the call panics")
    });
    let expected = without_response("panic", Some("panic"));
    for backend in Backend::ALL {
        observed(backend, inner, UNREACHABLE, panics, expected).await;
    }
}

#[tokio::test]
async fn a_client_that_panics_in_poll_is_recorded_as_panic() {
    let inner = service_fn(|_| async { panic!("the poll panics") });
    let expected = without_response("panic", Some("panic"));
    for backend in Backend::ALL {
        observed(backend, inner, UNREACHABLE, panics, expected).await;
    }
}
