//! Clients with middleware around and inside of the layers.

use std::{future::pending, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use suite_tests::{
    backend::Backend,
    net::{BoxError, Http, ScriptedBody, Step, pooled_client, serve},
    telemetry::with_timeout,
};
use tokio::{
    task::{JoinSet, LocalSet},
    time::timeout,
};
use tower::{Layer, Service, ServiceExt, retry, service_fn};

use crate::stack::{ALL, BoxedBody, Observed, Once, Stack, WAIT, boxed};

/// Responds by the path of the request.
pub(crate) async fn respond<Q>(request: Request<Q>) -> Result<Response<BoxedBody>, BoxError> {
    let body = match request.uri().path() {
        "/stall" => pending().await,
        "/fail" => return Err("failed".into()),
        "/endless" => ScriptedBody::new([Step::Data("a"), Step::Pending]).boxed_unsync(),
        "/unavailable" => {
            let mut response =
                Response::new(Full::from("later").map_err(Into::into).boxed_unsync());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return Ok(response);
        }
        _ => Full::from("hello").map_err(Into::into).boxed_unsync(),
    };
    Ok(Response::new(body))
}

/// Sends requests concurrently. Some callers drop the exchange before the response or while they read its body.
pub(crate) async fn send_all<S, B>(client: S, to: SocketAddr)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error: Into<BoxError>>
        + Clone
        + 'static,
    B: Body,
{
    let mut callers = JoinSet::new();
    for _ in 0..3 {
        for path in ["/", "/stall", "/unavailable", "/endless", "/fail", "/"] {
            let request = Request::get(format!("http://{to}{path}"));
            let request = request.body(Empty::new()).unwrap();
            let client = client.clone();
            callers.spawn_local(async move {
                let exchange = async {
                    if let Ok(response) = client.oneshot(request).await {
                        let _ = response.into_body().collect().await;
                    }
                };
                // If the middleware limits the number of exchanges, the other requests wait until these exchanges are dropped.
                if matches!(path, "/stall" | "/endless") {
                    let _ = timeout(WAIT, exchange).await;
                } else {
                    with_timeout(path, exchange).await;
                }
            });
        }
    }
    callers.join_all().await;
}

#[tokio::test]
async fn clients_with_middleware_around_and_inside() {
    LocalSet::new()
        .run_until(async {
            for http in [Http::One, Http::Two] {
                for backend in Backend::ALL {
                    let to = serve(service_fn(respond::<Incoming>)).await;
                    for middleware in ALL {
                        for is_inside in [false, true] {
                            let observed = Observed::new(backend);
                            let client: Stack<Empty<Bytes>> = boxed(pooled_client(http));
                            let client = if is_inside {
                                observed.client(middleware.around(client))
                            } else {
                                middleware.around(observed.client(client))
                            };
                            send_all(client, to).await;
                            let case =
                                format!("{middleware:?} inside {is_inside} {backend:?} {http:?}");
                            observed.assert_each_ended_once("http_client_", &case).await;
                        }
                    }
                }
            }
        })
        .await;
}

#[tokio::test]
async fn clients_with_a_retry_around_and_inside() {
    LocalSet::new()
        .run_until(async {
            for backend in Backend::ALL {
                let to = serve(service_fn(respond::<Incoming>)).await;
                let retry = retry::RetryLayer::new(Once(true));
                for is_inside in [false, true] {
                    let observed = Observed::new(backend);
                    let client: Stack<Empty<Bytes>> = boxed(pooled_client(Http::One));
                    let client = if is_inside {
                        observed.client(boxed(retry.layer(client)))
                    } else {
                        boxed(retry.layer(observed.client(client)))
                    };
                    send_all(client, to).await;
                    let case = format!("retry inside {is_inside} {backend:?}");
                    observed.assert_each_ended_once("http_client_", &case).await;
                }
            }
        })
        .await;
}
