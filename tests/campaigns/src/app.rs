//! The application under attack. Each path responds, streams, fails, hangs or panics.

use std::{
    future::pending,
    panic::resume_unwind,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use suite_tests::net::BoxError;
use tower_otel_core::{RequestHead, Route};

pub type AppResponse = Response<UnsyncBoxBody<Bytes, BoxError>>;

/// The header that marks responses of the application, not of the HTTP library.
pub const APP_HEADER: &str = "x-app";

pub const ROUTES: [&str; 11] = [
    "/fast/{id}",
    "/stream/{id}",
    "/large/{id}",
    "/endless/{id}",
    "/never/{id}",
    "/echo/{id}",
    "/empty/{id}",
    "/broken/{id}",
    "/fail/{id}",
    "/tear/{id}",
    "/panic/{id}",
];

/// Returns the route of a path.
pub fn route_of_path(path: &str) -> Option<&'static str> {
    let known = |route: &&&str| path.starts_with(route.trim_end_matches("{id}"));
    ROUTES.iter().find(known).copied()
}

/// Returns the route of a request, for the layers.
pub fn route(request: &dyn RequestHead) -> Option<Route> {
    route_of_path(request.target().path).map(Route::from)
}

/// A body of equal frames without a declared length, which can fail after the last one.
struct Frames {
    remaining: u64,
    frame: Bytes,
    fails: bool,
}

static ZEROS: [u8; 16 * 1024] = [0; 16 * 1024];

impl Frames {
    fn new(remaining: u64, size: usize) -> Self {
        Self {
            remaining,
            frame: Bytes::from_static(&ZEROS[..size]),
            fails: false,
        }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(match self.remaining.checked_sub(1) {
            Some(remaining) => {
                self.remaining = remaining;
                Some(Ok(Frame::data(self.frame.clone())))
            }
            None if self.fails => Some(Err("body failed".into())),
            None => None,
        })
    }
}

/// The number of spans that the application has started inside of its requests.
#[derive(Clone, Debug, Default)]
pub struct InnerSpans(Arc<AtomicU64>);

impl InnerSpans {
    pub fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }

    fn add(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Serves a request in two spans, one inside the other.
#[tracing::instrument(skip_all)]
pub async fn handle_in_spans<B>(
    request: Request<B>,
    spans: InnerSpans,
) -> Result<AppResponse, BoxError>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    spans.add();
    handle_in_inner_span(request, spans).await
}

#[tracing::instrument(skip_all, err, fields(path = request.uri().path()))]
async fn handle_in_inner_span<B>(
    request: Request<B>,
    spans: InnerSpans,
) -> Result<AppResponse, BoxError>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    spans.add();
    handle(request).await
}

/// Serves a request.
pub async fn handle<B>(request: Request<B>) -> Result<AppResponse, BoxError>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send,
{
    let mut status = StatusCode::OK;
    let full = |text| Full::new(Bytes::from_static(text)).map_err(|never| match never {});
    let body = match route_of_path(request.uri().path()).unwrap_or_default() {
        "/fast/{id}" => full(b"fast").boxed_unsync(),
        "/stream/{id}" => Frames::new(3, 1024).boxed_unsync(),
        "/large/{id}" => Frames::new(32, 16 * 1024).boxed_unsync(),
        "/endless/{id}" => Frames::new(u64::MAX, 16 * 1024).boxed_unsync(),
        "/never/{id}" => pending().await,
        "/echo/{id}" => {
            if request.into_body().collect().await.is_err() {
                status = StatusCode::BAD_REQUEST;
            }
            full(b"read").boxed_unsync()
        }
        "/empty/{id}" => {
            status = StatusCode::NO_CONTENT;
            full(b"").boxed_unsync()
        }
        "/broken/{id}" => {
            status = StatusCode::INTERNAL_SERVER_ERROR;
            full(b"sorry").boxed_unsync()
        }
        "/fail/{id}" => return Err("no".into()),
        "/tear/{id}" => {
            let mut frames = Frames::new(2, 100);
            frames.fails = true;
            frames.boxed_unsync()
        }
        // Unwinds like a panic, without a message on stderr.
        "/panic/{id}" => resume_unwind(Box::new("part of the attack")),
        _ => {
            status = StatusCode::NOT_FOUND;
            full(b"nowhere").boxed_unsync()
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let value = HeaderValue::from_static("yes");
    response.headers_mut().insert(APP_HEADER, value);
    Ok(response)
}
