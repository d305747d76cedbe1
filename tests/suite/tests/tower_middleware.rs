//! Middleware of tower around and inside of the layers, over HTTP and gRPC: every exchange ends once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    future::pending,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use suite_tests::{
    backend::Backend,
    grpc_calls::{listen, path, unary},
    grpc_service::CartService,
    net::{BoxError, Http, ScriptedBody, Step, pooled_client, serve},
    telemetry::{TestTelemetry, with_timeout},
};
use tokio::{
    task::{JoinSet, LocalSet},
    time::timeout,
};
use tonic::client::Grpc;
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, buffer::Buffer, retry, service_fn,
    timeout::TimeoutLayer, util::BoxCloneService,
};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

type BoxedBody = UnsyncBoxBody<Bytes, BoxError>;

/// A service of any type.
type Stack<Q> = BoxCloneService<Request<Q>, Response<BoxedBody>, BoxError>;

/// The time that a caller, and tower's timeout, wait for a response that is never sent.
const WAIT: Duration = Duration::from_millis(40);

fn boxed<S, Q, B>(service: S) -> Stack<Q>
where
    S: Service<Request<Q>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + 'static,
    Q: 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let service = service
        .map_response(|response: Response<B>| {
            response.map(|body| body.map_err(Into::into).boxed_unsync())
        })
        .map_err(Into::into);
    BoxCloneService::new(service)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Middleware {
    Buffer,
    LoadShed,
    ConcurrencyLimit,
    Timeout,
}

const ALL: [Middleware; 4] = [
    Middleware::Buffer,
    Middleware::LoadShed,
    Middleware::ConcurrencyLimit,
    Middleware::Timeout,
];

impl Middleware {
    fn around<Q: Send + 'static>(self, service: Stack<Q>) -> Stack<Q> {
        let builder = ServiceBuilder::new();
        match self {
            Self::Buffer => boxed(Buffer::new(service, 2)),
            Self::LoadShed => boxed(builder.load_shed().concurrency_limit(2).service(service)),
            Self::ConcurrencyLimit => boxed(builder.concurrency_limit(2).service(service)),
            Self::Timeout => boxed(TimeoutLayer::new(WAIT / 2).layer(service)),
        }
    }
}

/// Retries a failure or `503` once.
#[derive(Clone)]
struct Once(bool);

impl<E> retry::Policy<Request<Empty<Bytes>>, Response<BoxedBody>, E> for Once {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<Empty<Bytes>>,
        result: &mut Result<Response<BoxedBody>, E>,
    ) -> Option<Self::Future> {
        let is_success = result
            .as_ref()
            .is_ok_and(|response| response.status() != StatusCode::SERVICE_UNAVAILABLE);
        (!is_success && std::mem::take(&mut self.0)).then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Request<Empty<Bytes>>) -> Option<Request<Empty<Bytes>>> {
        Some(request.clone())
    }
}

/// The layers of a test, and the number of exchanges that they have observed.
struct Observed {
    telemetry: TestTelemetry,
    backend: Backend,
    calls: Arc<AtomicUsize>,
}

impl Observed {
    fn new(backend: Backend) -> Self {
        Self {
            telemetry: TestTelemetry::new(),
            backend,
            calls: Arc::default(),
        }
    }

    fn around<Q: Send + 'static>(
        &self,
        trace: TraceLayer,
        metrics: MetricsLayer,
        service: Stack<Q>,
    ) -> Stack<Q> {
        let calls = Arc::clone(&self.calls);
        boxed(
            ServiceBuilder::new()
                .map_request(move |request| {
                    calls.fetch_add(1, Relaxed);
                    request
                })
                .layer(self.backend.layer(self.telemetry.source(), trace))
                .layer(metrics)
                .layer(PropagateLayer::new())
                .service(service),
        )
    }

    fn client<Q: Send + 'static>(&self, service: Stack<Q>) -> Stack<Q> {
        self.around(TraceLayer::client(), MetricsLayer::client(), service)
    }

    fn server(&self, service: Stack<Incoming>) -> Stack<Incoming> {
        self.around(TraceLayer::server(), MetricsLayer::server(), service)
    }

    /// Checks that each exchange has one span and is counted once, and that no exchange is in flight.
    async fn assert_each_ended_once(&self, prefix: &str, case: &str) {
        let count =
            |telemetry: &TestTelemetry, name| telemetry.sum(&format!("{prefix}{name}"), &[]);
        self.telemetry
            .wait_until(case, |telemetry| {
                telemetry.spans().len() >= self.calls.load(Relaxed)
                    && count(telemetry, "requests_in_flight") == 0.0
            })
            .await;
        let calls = self.calls.load(Relaxed);
        assert!(calls > 0, "{case}");
        assert_eq!(self.telemetry.spans().len(), calls, "{case}");
        assert_eq!(
            count(&self.telemetry, "requests_total"),
            calls as f64,
            "{case}"
        );
    }
}

/// Responds by the path of the request.
async fn respond<Q>(request: Request<Q>) -> Result<Response<BoxedBody>, BoxError> {
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
async fn send_all<S, B>(client: S, to: SocketAddr)
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

#[tokio::test]
async fn servers_with_middleware_around_and_inside() {
    LocalSet::new()
        .run_until(async {
            for http in [Http::One, Http::Two] {
                for backend in Backend::ALL {
                    for middleware in ALL {
                        for is_inside in [false, true] {
                            let observed = Observed::new(backend);
                            let handler: Stack<Incoming> = boxed(service_fn(respond::<Incoming>));
                            let server = if is_inside {
                                observed.server(middleware.around(handler))
                            } else {
                                middleware.around(observed.server(handler))
                            };
                            let to = serve(server).await;
                            send_all(pooled_client(http), to).await;
                            let case =
                                format!("{middleware:?} inside {is_inside} {backend:?} {http:?}");
                            observed.assert_each_ended_once("http_", &case).await;
                        }
                    }
                }
            }
        })
        .await;
}

#[tokio::test]
async fn grpc_clients_with_middleware_around_and_inside() {
    LocalSet::new()
        .run_until(async {
            for backend in Backend::ALL {
                let (to, incoming) = listen().await;
                let server =
                    tonic::transport::Server::builder().add_service(CartService::default());
                tokio::spawn(server.serve_with_incoming(incoming));
                let uri = format!("http://{to}");
                for middleware in ALL {
                    for is_inside in [false, true] {
                        let observed = Observed::new(backend);
                        let channel = tonic::transport::Endpoint::new(uri.clone()).unwrap();
                        let channel: Stack<tonic::body::Body> = boxed(channel.connect_lazy());
                        let client = if is_inside {
                            observed.client(middleware.around(channel))
                        } else {
                            middleware.around(observed.client(channel))
                        };
                        let mut callers = JoinSet::new();
                        for message in ["ok", "stall", "ok", "stall", "ok"] {
                            let service = client.clone().boxed();
                            let origin = uri.parse().unwrap();
                            callers.spawn_local(async move {
                                let service =
                                    service.map_response(|response: Response<BoxedBody>| {
                                        response.map(tonic::body::Body::new)
                                    });
                                let mut client = Grpc::with_origin(service.boxed(), origin);
                                let call = unary(&mut client, path("Unary"), message);
                                if message == "stall" {
                                    let _ = timeout(WAIT, call).await;
                                } else {
                                    let _ = with_timeout(message, call).await;
                                }
                            });
                        }
                        callers.join_all().await;
                        let case = format!("{middleware:?} inside {is_inside} {backend:?}");
                        observed.assert_each_ended_once("http_client_", &case).await;
                    }
                }
            }
        })
        .await;
}

#[tokio::test]
async fn grpc_servers_with_limits_of_tonic() {
    LocalSet::new()
        .run_until(async {
            for backend in Backend::ALL {
                let observed = Observed::new(backend);
                let (to, incoming) = listen().await;
                let calls = Arc::clone(&observed.calls);
                let layers = ServiceBuilder::new()
                    .map_request(move |request| {
                        calls.fetch_add(1, Relaxed);
                        request
                    })
                    .layer(backend.layer(observed.telemetry.source(), TraceLayer::server().grpc()))
                    .layer(MetricsLayer::server());
                let server = tonic::transport::Server::builder()
                    .timeout(WAIT / 2)
                    .concurrency_limit_per_connection(2)
                    .load_shed(true)
                    .layer(layers.into_inner())
                    .add_service(CartService::default());
                tokio::spawn(server.serve_with_incoming(incoming));
                let uri = format!("http://{to}");
                let channel = tonic::transport::Endpoint::new(uri.clone())
                    .unwrap()
                    .connect_lazy();
                let mut callers = JoinSet::new();
                for message in ["ok", "stall", "ok", "stall", "ok", "panic"] {
                    let mut client = Grpc::with_origin(
                        channel.clone().map_err(BoxError::from).boxed(),
                        uri.parse().unwrap(),
                    );
                    callers.spawn_local(async move {
                        let call = unary(&mut client, path("Unary"), message);
                        let _ = with_timeout(message, call).await;
                    });
                }
                callers.join_all().await;
                let case = format!("{backend:?}");
                observed.assert_each_ended_once("http_", &case).await;
            }
        })
        .await;
}
