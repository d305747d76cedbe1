//! Middleware and a stack of layers with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use suite_tests::{backend::Backend, net::BoxError, telemetry::TestTelemetry};
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, buffer::Buffer, retry, timeout::TimeoutLayer,
    util::BoxCloneService,
};
use tower_otel_metrics::MetricsLayer;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

pub(crate) type BoxedBody = UnsyncBoxBody<Bytes, BoxError>;

/// A service of any type.
pub(crate) type Stack<Q> = BoxCloneService<Request<Q>, Response<BoxedBody>, BoxError>;

/// The time that a caller, and tower's timeout, wait for a response that is never sent.
pub(crate) const WAIT: Duration = Duration::from_millis(40);

pub(crate) fn boxed<S, Q, B>(service: S) -> Stack<Q>
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
pub(crate) enum Middleware {
    Buffer,
    LoadShed,
    ConcurrencyLimit,
    Timeout,
}

pub(crate) const ALL: [Middleware; 4] = [
    Middleware::Buffer,
    Middleware::LoadShed,
    Middleware::ConcurrencyLimit,
    Middleware::Timeout,
];

impl Middleware {
    pub(crate) fn around<Q: Send + 'static>(self, service: Stack<Q>) -> Stack<Q> {
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
pub(crate) struct Once(pub(crate) bool);

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
pub(crate) struct Observed {
    pub(crate) telemetry: TestTelemetry,
    pub(crate) backend: Backend,
    pub(crate) calls: Arc<AtomicUsize>,
}

impl Observed {
    pub(crate) fn new(backend: Backend) -> Self {
        Self {
            telemetry: TestTelemetry::new(),
            backend,
            calls: Arc::default(),
        }
    }

    pub(crate) fn around<Q: Send + 'static>(
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

    pub(crate) fn client<Q: Send + 'static>(&self, service: Stack<Q>) -> Stack<Q> {
        self.around(TraceLayer::client(), MetricsLayer::client(), service)
    }

    pub(crate) fn server(&self, service: Stack<Incoming>) -> Stack<Incoming> {
        self.around(TraceLayer::server(), MetricsLayer::server(), service)
    }

    /// Checks that each exchange has one span and is counted once, and that no exchange is in flight.
    pub(crate) async fn assert_each_ended_once(&self, prefix: &str, case: &str) {
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
