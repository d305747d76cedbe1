//! The `/metrics` service.

use std::{
    convert::Infallible,
    fmt,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, VARY},
};
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;

use crate::prometheus::Prometheus;

/// The content type of the text format.
const TEXT_FORMAT: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The content type of the protobuf format: one message per metric, each with its length first.
const PROTOBUF_FORMAT: HeaderValue = HeaderValue::from_static(
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
);

/// Whether protobuf is the first media type in `Accept`. Prometheus lists them by preference.
fn prefers_protobuf<B>(request: &Request<B>) -> bool {
    request.headers().get(ACCEPT).is_some_and(|accept| {
        let first = accept.as_bytes().split(|byte| *byte == b',').next();
        first.is_some_and(|first| {
            let media_type = first.split(|byte| *byte == b';').next().unwrap_or(first);
            let media_type = media_type.trim_ascii();
            media_type.eq_ignore_ascii_case(b"application/vnd.google.protobuf")
        })
    })
}

impl Prometheus {
    /// Returns the service for `/metrics`.
    #[must_use]
    pub fn service(&self) -> MetricsService {
        MetricsService {
            prometheus: self.clone(),
        }
    }
}

/// A service that answers a scrape with `GET` or `HEAD`, at any path.
///
/// The response is rendered in `call`, which blocks its thread as long as [`Prometheus::render`]
/// takes. If that is too long, serve it from a separate listener and thread. A separate listener
/// also keeps routes and request rates private.
///
/// ```
/// use http::{Request, StatusCode};
/// use tower::ServiceExt;
/// use tower_otel_prometheus::Prometheus;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (_recorder, prometheus) = Prometheus::builder().build()?;
///
/// // For axum: Router::new().route_service("/metrics", prometheus.service())
/// let scrape = prometheus.service().oneshot(Request::get("/metrics").body(())?);
/// # let wait = std::pin::pin!(scrape);
/// # let mut context = std::task::Context::from_waker(std::task::Waker::noop());
/// # let std::task::Poll::Ready(response) = wait.poll(&mut context) else { return Ok(()) };
/// # let response = response?;
/// # /*
/// let response = scrape.await?;
/// # */
/// assert_eq!(response.status(), StatusCode::OK);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MetricsService {
    prometheus: Prometheus,
}

impl<B> Service<Request<B>> for MetricsService {
    type Response = Response<MetricsBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut response = Response::new(MetricsBody(Bytes::new()));
        match *request.method() {
            Method::GET | Method::HEAD => {
                let native = self.prometheus.0.registry.has_native_histograms();
                let (format, data) = if native && prefers_protobuf(&request) {
                    (PROTOBUF_FORMAT, Bytes::from(self.prometheus.encode()))
                } else {
                    (TEXT_FORMAT, Bytes::from(self.prometheus.render()))
                };
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, format);
                if native {
                    headers.insert(VARY, HeaderValue::from_static("accept"));
                }
                headers.insert(CONTENT_LENGTH, data.len().into());
                if *request.method() == Method::GET {
                    *response.body_mut() = MetricsBody(data);
                }
            }
            _ => {
                *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
                response
                    .headers_mut()
                    .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
        }
        ready(Ok(response))
    }
}

/// The body of a scrape: one frame of known length.
pub struct MetricsBody(Bytes);

impl fmt::Debug for MetricsBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsBody")
            .field("remaining", &self.0.len())
            .finish()
    }
}

impl Body for MetricsBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = std::mem::take(&mut self.0);
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use std::task::Waker;

    use axum::Router;
    use metrics::with_local_recorder;
    use tower::ServiceExt;

    use super::*;

    fn prometheus() -> Prometheus {
        let (recorder, prometheus) = Prometheus::builder().build().unwrap();
        with_local_recorder(&recorder, || {
            metrics::describe_counter!("http_requests_total", "Requests.");
            metrics::counter!("http_requests_total", "path" => "/a\"b").increment(7);
        });
        prometheus
    }

    fn ready_now<T>(future: impl Future<Output = T>) -> T {
        let mut context = Context::from_waker(Waker::noop());
        match std::pin::pin!(future).poll(&mut context) {
            Poll::Ready(done) => done,
            Poll::Pending => panic!("the service is always ready"),
        }
    }

    fn frames<B: Body<Data = Bytes, Error: fmt::Debug> + Unpin>(mut body: B) -> Vec<Bytes> {
        let mut context = Context::from_waker(Waker::noop());
        let mut frames = Vec::new();
        while let Poll::Ready(Some(frame)) = Pin::new(&mut body).poll_frame(&mut context) {
            frames.push(frame.unwrap().into_data().unwrap());
        }
        frames
    }

    fn response_to(method: Method) -> Response<MetricsBody> {
        let request = Request::builder()
            .method(method)
            .uri("/metrics")
            .body(())
            .unwrap();
        let Ok(response) = ready_now(prometheus().service().oneshot(request));
        response
    }

    const TEXT: &str = "# HELP http_requests_total Requests.\n\
                        # TYPE http_requests_total counter\n\
                        http_requests_total{path=\"/a\\\"b\"} 7\n\n";

    #[test]
    fn get_returns_the_text_format() {
        let response = response_to(Method::GET);
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            response.headers()[CONTENT_TYPE],
            "text/plain; version=0.0.4; charset=utf-8"
        );
        assert_eq!(response.headers()[CONTENT_LENGTH], TEXT.len().to_string());
        assert_eq!(response.body().size_hint().exact(), Some(TEXT.len() as u64));
        assert!(!response.body().is_end_stream());
        assert_eq!(frames(response.into_body()), [TEXT]);
    }

    #[test]
    fn head_returns_the_headers_of_get_without_a_body() {
        let (head, get) = (response_to(Method::HEAD), response_to(Method::GET));
        assert_eq!(
            (head.status(), head.headers()),
            (get.status(), get.headers())
        );
        assert!(head.body().is_end_stream());
        assert_eq!(frames(head.into_body()), [""; 0]);
    }

    #[test]
    fn other_methods_return_405_with_allow() {
        for method in [Method::POST, Method::OPTIONS, Method::DELETE] {
            let response = response_to(method);
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(response.headers()[ALLOW], "GET, HEAD");
            assert!(response.body().is_end_stream());
        }
    }

    #[test]
    fn the_body_ends_after_one_frame() {
        let mut body = response_to(Method::GET).into_body();
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut body).poll_frame(&mut context).is_ready());
        assert!(body.is_end_stream());
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(matches!(
            Pin::new(&mut body).poll_frame(&mut context),
            Poll::Ready(None)
        ));
    }

    #[test]
    fn an_axum_router_serves_the_service() {
        let app = Router::<()>::new().route_service("/metrics", prometheus().service());
        for (method, sent) in [(Method::GET, TEXT.len()), (Method::HEAD, 0)] {
            let request = Request::builder().method(method).uri("/metrics");
            let request = request.body(axum::body::Body::empty()).unwrap();
            let Ok(response) = ready_now(app.clone().oneshot(request));
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()[CONTENT_LENGTH], TEXT.len().to_string());
            assert_eq!(
                frames(response.into_body())
                    .iter()
                    .map(Bytes::len)
                    .sum::<usize>(),
                sent
            );
        }
    }

    #[test]
    fn protobuf_is_returned_if_preferred_and_enabled() {
        const PROMETHEUS: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1";
        let format = |native: bool, accept: &str| {
            let mut builder = Prometheus::builder();
            if native {
                builder = builder.native_histograms();
            }
            let (_recorder, prometheus) = builder.build().unwrap();
            let request = Request::get("/").header(ACCEPT, accept).body(()).unwrap();
            let Ok(response) = prometheus.service().call(request).into_inner();
            response.headers()[CONTENT_TYPE].clone()
        };
        assert_eq!(format(true, PROMETHEUS), PROTOBUF_FORMAT);
        for (native, accept) in [
            (false, PROMETHEUS),
            (true, "*/*"),
            (true, "text/plain, application/vnd.google.protobuf"),
            (true, ""),
        ] {
            assert_eq!(format(native, accept), TEXT_FORMAT, "{native} {accept}");
        }
    }
}
