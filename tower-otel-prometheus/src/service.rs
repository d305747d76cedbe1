//! The `/metrics` service.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
    time::Instant,
};

use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, VARY},
};
use tower_service::Service;

use crate::{body::MetricsBody, format::Format, prometheus::Prometheus};

impl Prometheus {
    /// Returns the service for `/metrics`.
    #[must_use]
    pub fn service(&self) -> MetricsService {
        MetricsService {
            prometheus: self.clone(),
        }
    }
}

/// A tower service that responds to scrapes, at any path. Created by [`Prometheus::service`].
///
/// It responds to `GET` with the metrics, to `HEAD` with the headers only, and to other methods with 405. It never returns an
/// error.
///
/// # Formats
///
/// The media type with the highest weight in `Accept` selects the format. If weights are equal, the first one applies.
///
/// | media type | format |
/// |---|---|
/// | `application/openmetrics-text`, version 1.0.0, 0.0.1 or none | OpenMetrics 1.0 |
/// | `application/vnd.google.protobuf` | protobuf, if [native histograms](crate::PrometheusBuilder::native_histograms) are on |
/// | others, or no `Accept` | the text format, version 0.0.4 |
///
/// # Load
///
/// The body is rendered while it is read, in pieces of 16 to 32 KiB with the default boundaries. It stores at
/// most one piece. Pieces are larger with more boundaries or longer labels.
///
/// At most 16 scrapes run at a time. If another one arrives and the oldest started at least 10 seconds ago, the
/// oldest is evicted: its body fails with an error. Otherwise the response to the new one is 503 with
/// `Retry-After: 1`. So clients that read slowly block others for at most 10 seconds, unless they start new
/// scrapes.
///
/// Serve it on a private listener. Routes and request rates then stay private, and only trusted clients can
/// start scrapes.
///
/// # Compression
///
/// The service does not compress. The layer of `tower-http` compresses with gzip, zstd or another enabled algorithm if the
/// request accepts it:
///
/// ```toml
/// tower-http = { version = "0.7", features = ["compression-gzip", "compression-zstd"] }
/// ```
///
/// ```
/// use axum::Router;
/// use tower::ServiceBuilder;
/// use tower_http::compression::CompressionLayer;
/// use tower_otel_prometheus::Prometheus;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (_recorder, prometheus) = Prometheus::builder().build()?;
/// let scrapes = ServiceBuilder::new().layer(CompressionLayer::new()).service(prometheus.service());
/// let app: Router = Router::new().route_service("/metrics", scrapes);
/// # drop(app);
/// # Ok(())
/// # }
/// ```
///
/// Prometheus accepts gzip.
///
/// # Example
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
        let prometheus = &self.prometheus;
        let is_get = *request.method() == Method::GET;
        if !is_get && *request.method() != Method::HEAD {
            let allowed = (ALLOW, HeaderValue::from_static("GET, HEAD"));
            return ready(Ok(refusal(StatusCode::METHOD_NOT_ALLOWED, allowed)));
        }
        let offers_protobuf = prometheus.registry.has_native_histograms();
        let format = Format::negotiate(request.headers(), offers_protobuf);
        let body = if is_get {
            let Some(permit) = prometheus.scrapes.begin(Instant::now()) else {
                let retry = (RETRY_AFTER, HeaderValue::from_static("1"));
                return ready(Ok(refusal(StatusCode::SERVICE_UNAVAILABLE, retry)));
            };
            MetricsBody::new(prometheus.scrape(format), permit)
        } else {
            MetricsBody::empty()
        };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, format.content_type());
        headers.insert(VARY, HeaderValue::from_static("accept"));
        ready(Ok(response))
    }
}

/// Returns a response without a body.
fn refusal(
    status: StatusCode,
    (name, value): (http::HeaderName, HeaderValue),
) -> Response<MetricsBody> {
    let mut response = Response::new(MetricsBody::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(name, value);
    response
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use std::{
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Wake, Waker},
    };

    use bytes::Bytes;
    use http::header::ACCEPT;
    use http_body::Body;
    use metrics::with_local_recorder;

    use super::*;
    use crate::scrapes::MAX_SCRAPES;

    fn prometheus() -> Prometheus {
        let (recorder, prometheus) = Prometheus::builder().build().unwrap();
        with_local_recorder(&recorder, || {
            metrics::describe_counter!("http_requests_total", "Requests.");
            metrics::counter!("http_requests_total", "path" => "/a\"b").increment(7);
        });
        prometheus
    }

    fn respond(prometheus: &Prometheus, method: Method, accept: &str) -> Response<MetricsBody> {
        let request = Request::builder().method(method).header(ACCEPT, accept);
        let response = prometheus.service().call(request.body(()).unwrap());
        let Ok(response) = response.into_inner();
        response
    }

    /// Returns the pieces of a body.
    fn pieces(body: &mut MetricsBody) -> Result<Vec<Bytes>, std::io::Error> {
        let mut context = Context::from_waker(Waker::noop());
        let mut pieces = Vec::new();
        loop {
            match Pin::new(&mut *body).poll_frame(&mut context) {
                Poll::Ready(None) => return Ok(pieces),
                Poll::Ready(Some(frame)) => pieces.push(frame?.into_data().unwrap()),
                Poll::Pending => {}
            }
        }
    }

    fn read(body: &mut MetricsBody) -> Result<Vec<u8>, std::io::Error> {
        Ok(pieces(body)?.concat())
    }

    fn text(mut response: Response<MetricsBody>) -> String {
        String::from_utf8(read(response.body_mut()).unwrap()).unwrap()
    }

    const TEXT: &str = "# HELP http_requests_total Requests.\n\
                        # TYPE http_requests_total counter\n\
                        http_requests_total{path=\"/a\\\"b\"} 7\n";

    const OPEN_METRICS: &str = "# HELP http_requests Requests.\n\
                                # TYPE http_requests counter\n\
                                http_requests_total{path=\"/a\\\"b\"} 7\n# EOF\n";

    #[test]
    fn get_returns_the_text_format_without_a_preference() {
        let response = respond(&prometheus(), Method::GET, "*/*");
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(
            response.headers()[CONTENT_TYPE],
            "text/plain; version=0.0.4; charset=utf-8"
        );
        assert_eq!(response.headers()[VARY], "accept");
        assert!(!response.body().is_end_stream());
        assert_eq!(text(response), TEXT);
    }

    #[test]
    fn get_returns_open_metrics_if_preferred() {
        let response = respond(&prometheus(), Method::GET, "application/openmetrics-text");
        assert_eq!(
            response.headers()[CONTENT_TYPE],
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        );
        assert_eq!(text(response), OPEN_METRICS);
    }

    #[test]
    fn a_scrape_without_metrics_ends() {
        let (_recorder, prometheus) = Prometheus::builder().build().unwrap();
        assert_eq!(text(respond(&prometheus, Method::GET, "")), "");
        let accept = "application/openmetrics-text";
        assert_eq!(text(respond(&prometheus, Method::GET, accept)), "# EOF\n");
    }

    #[test]
    fn head_returns_the_headers_of_get_without_a_body() {
        let prometheus = prometheus();
        let head = respond(&prometheus, Method::HEAD, "");
        let get = respond(&prometheus, Method::GET, "");
        assert_eq!(
            (head.status(), head.headers()),
            (get.status(), get.headers())
        );
        assert!(head.body().is_end_stream());
        assert_eq!(text(head), "");
    }

    #[test]
    fn other_methods_return_405_with_allow() {
        for method in [Method::POST, Method::OPTIONS, Method::DELETE] {
            let response = respond(&prometheus(), method, "");
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(response.headers()[ALLOW], "GET, HEAD");
            assert!(response.body().is_end_stream());
        }
    }

    #[test]
    fn too_many_scrapes_return_503_until_one_has_ended() {
        let prometheus = prometheus();
        let scrape = || respond(&prometheus, Method::GET, "");
        let mut scrapes: Vec<_> = (0..MAX_SCRAPES).map(|_| scrape()).collect();
        let refused = scrape();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()[RETRY_AFTER], "1");
        assert!(refused.body().is_end_stream());
        // One body was read to its end, another was dropped before.
        let body = scrapes[0].body_mut();
        assert_eq!(read(body).unwrap(), TEXT.as_bytes());
        assert!(body.is_end_stream());
        let next = scrape();
        assert_eq!(next.status(), StatusCode::OK);
        assert_eq!(scrape().status(), StatusCode::SERVICE_UNAVAILABLE);
        scrapes.pop();
        assert_eq!(scrape().status(), StatusCode::OK);
    }

    #[test]
    fn a_scrape_that_was_evicted_fails() {
        let prometheus = prometheus();
        let mut scrape = respond(&prometheus, Method::GET, "");
        let later = Instant::now() + std::time::Duration::from_secs(60);
        let _permits: Vec<_> = (0..MAX_SCRAPES)
            .map(|_| prometheus.scrapes.begin(later).unwrap())
            .collect();
        assert!(read(scrape.body_mut()).is_err());
        assert_eq!(read(scrape.body_mut()).unwrap(), [], "an error is the end");
    }

    #[test]
    fn a_large_scrape_is_rendered_in_small_pieces() {
        let (recorder, prometheus) = Prometheus::builder().native_histograms().build().unwrap();
        with_local_recorder(&recorder, || {
            for n in 0..2_000 {
                let label = || n.to_string();
                metrics::counter!("a_total", "n" => label()).increment(n);
                metrics::gauge!("b", "n" => label()).set(n as f64);
                metrics::histogram!("c_seconds", "n" => label()).record(n as f64);
            }
        });
        for (accept, least, most) in [
            ("text/plain", 50, 24 * 1024),
            ("application/openmetrics-text", 50, 24 * 1024),
            ("application/vnd.google.protobuf", 20, 24 * 1024),
        ] {
            let mut body = respond(&prometheus, Method::GET, accept).into_body();
            let pieces = pieces(&mut body).unwrap();
            let longest = pieces.iter().map(Bytes::len).max().unwrap();
            assert!(
                pieces.len() >= least && longest <= most,
                "{accept}: {longest}"
            );
            let text = String::from_utf8_lossy(&pieces.concat()).into_owned();
            if accept != "application/vnd.google.protobuf" {
                assert_eq!(text.matches("# TYPE").count(), 3, "{accept}");
                assert_eq!(text.matches("c_seconds_count{").count(), 2_000);
                assert_eq!(text.matches("a_total{").count(), 2_000);
            }
        }
    }

    #[test]
    fn a_scrape_yields_to_other_tasks_after_each_piece() {
        struct Wakes(AtomicUsize);

        impl Wake for Wakes {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }

        let mut body = respond(&prometheus(), Method::GET, "").into_body();
        let wakes = Arc::new(Wakes(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&wakes));
        let mut context = Context::from_waker(&waker);
        let mut poll = || Pin::new(&mut body).poll_frame(&mut context);
        assert!(matches!(poll(), Poll::Ready(Some(Ok(_)))));
        assert!(poll().is_pending());
        assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
        assert!(matches!(poll(), Poll::Ready(None)));
    }

    #[test]
    fn protobuf_is_returned_if_preferred_and_enabled() {
        let accept = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1";
        let (_recorder, native) = Prometheus::builder().native_histograms().build().unwrap();
        let format = |prometheus: &Prometheus| {
            let response = respond(prometheus, Method::GET, accept);
            response.headers()[CONTENT_TYPE].clone()
        };
        assert_eq!(format(&native), Format::Protobuf.content_type());
        assert_eq!(format(&prometheus()), Format::OpenMetrics.content_type());
    }
}
