use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tower_service::Service;

use crate::prometheus::Prometheus;

/// The text format Prometheus has read since its version 0.4.
const TEXT_FORMAT: HeaderValue =
    HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// One message for each metric, its length before it.
const PROTOBUF: HeaderValue = HeaderValue::from_static(
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
);

/// Whether protobuf is what is wanted most. Prometheus writes its wishes in their order.
fn prefers_protobuf<B>(request: &Request<B>) -> bool {
    request.headers().get(ACCEPT).is_some_and(|accept| {
        let first = accept.as_bytes().split(|byte| *byte == b',').next();
        first.is_some_and(|first| {
            let kind = first.split(|byte| *byte == b';').next().unwrap_or(first);
            let kind = kind.trim_ascii();
            kind.eq_ignore_ascii_case(b"application/vnd.google.protobuf")
        })
    })
}

/// Answers a scrape: `GET` and `HEAD`, whatever the path, since the router has chosen it.
///
/// The answer is rendered within `call`, which holds up the thread it runs on for as long as
/// [`Prometheus::render`] takes. Where that matters, serve it from a listener and a thread of its
/// own. A listener of its own also keeps it from strangers: the names of your routes and the
/// numbers of your requests are nobody else's business.
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

impl MetricsService {
    pub(crate) fn new(prometheus: Prometheus) -> Self {
        Self { prometheus }
    }
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
                let native = self.prometheus.registry.are_native();
                let (format, text) = if native && prefers_protobuf(&request) {
                    (PROTOBUF, Bytes::from(self.prometheus.encode()))
                } else {
                    (TEXT_FORMAT, Bytes::from(self.prometheus.render()))
                };
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, format);
                if native {
                    headers.insert(VARY, HeaderValue::from_static("accept"));
                }
                headers.insert(CONTENT_LENGTH, text.len().into());
                if *request.method() == Method::GET {
                    *response.body_mut() = MetricsBody(text);
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

/// The text of one scrape, in one piece, its length known.
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
        let text = std::mem::take(&mut self.0);
        Poll::Ready((!text.is_empty()).then(|| Ok(Frame::data(text))))
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

    fn counted() -> Prometheus {
        let (recorder, prometheus) = Prometheus::builder().build().unwrap();
        with_local_recorder(&recorder, || {
            metrics::describe_counter!("http_requests_total", "Requests.");
            metrics::counter!("http_requests_total", "path" => "/a\"b").increment(7);
        });
        prometheus
    }

    fn now<T>(future: impl Future<Output = T>) -> T {
        let mut context = Context::from_waker(Waker::noop());
        match std::pin::pin!(future).poll(&mut context) {
            Poll::Ready(done) => done,
            Poll::Pending => panic!("nothing here waits"),
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

    fn ask(method: Method) -> Response<MetricsBody> {
        let request = Request::builder()
            .method(method)
            .uri("/metrics")
            .body(())
            .unwrap();
        let Ok(response) = now(counted().service().oneshot(request));
        response
    }

    const TEXT: &str = "# HELP http_requests_total Requests.\n\
                        # TYPE http_requests_total counter\n\
                        http_requests_total{path=\"/a\\\"b\"} 7\n\n";

    #[test]
    fn a_get_is_answered_with_the_text_format() {
        let response = ask(Method::GET);
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
    fn a_head_is_answered_like_a_get_without_the_text() {
        let (head, get) = (ask(Method::HEAD), ask(Method::GET));
        assert_eq!(
            (head.status(), head.headers()),
            (get.status(), get.headers())
        );
        assert!(head.body().is_end_stream());
        assert_eq!(frames(head.into_body()), [""; 0]);
    }

    #[test]
    fn other_methods_are_told_what_is_allowed() {
        for method in [Method::POST, Method::OPTIONS, Method::DELETE] {
            let response = ask(method);
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(response.headers()[ALLOW], "GET, HEAD");
            assert!(response.body().is_end_stream());
        }
    }

    #[test]
    fn the_body_ends_with_its_only_frame() {
        let mut body = ask(Method::GET).into_body();
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
    fn an_axum_router_serves_it() {
        let app = Router::<()>::new().route_service("/metrics", counted().service());
        for (method, sent) in [(Method::GET, TEXT.len()), (Method::HEAD, 0)] {
            let request = Request::builder().method(method).uri("/metrics");
            let request = request.body(axum::body::Body::empty()).unwrap();
            let Ok(response) = now(app.clone().oneshot(request));
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
    fn protobuf_is_for_those_who_prefer_it_and_where_it_is_offered() {
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
        assert_eq!(format(true, PROMETHEUS), PROTOBUF);
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
