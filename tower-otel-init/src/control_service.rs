//! The HTTP service of [`Control`].

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::str;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, ORIGIN, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use tower_service::Service;

use crate::control::Control;
use crate::loopback_origin::is_loopback_origin;

/// The maximum length of the body of a `PUT`, in bytes.
const MAX_BYTES: usize = 8 * 1024;

const NOT_FOUND: &str = "there is no such resource (expected /, /sampling, /keep or /log_filter)";
const TOO_LARGE: &str = "the body is too large (expected 8192 bytes at most); nothing is changed";
const NOT_UTF8: &str = "the body is not UTF-8; nothing is changed";
const NOT_READ: &str = "the body could not be read; nothing is changed";
const FOREIGN: &str =
    "a browser may change settings from a loopback address only; nothing is changed";

/// Reads and changes settings over HTTP.
#[derive(Clone, Debug)]
pub(crate) struct ControlService(pub(crate) Control);

/// A resource of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Resource {
    State,
    Sampling,
    Keep,
    LogFilter,
}

impl Resource {
    fn at(path: &str) -> Option<Self> {
        Some(match path.strip_suffix('/').unwrap_or(path) {
            "" => Self::State,
            "/sampling" => Self::Sampling,
            "/keep" => Self::Keep,
            "/log_filter" => Self::LogFilter,
            _ => return None,
        })
    }

    const fn methods(self) -> &'static str {
        match self {
            Self::State => "GET, HEAD",
            _ => "GET, HEAD, PUT",
        }
    }

    /// Returns the setting, which ends with a line break.
    fn text(self, control: &Control) -> String {
        let text = match self {
            Self::State => control.state(),
            Self::Sampling => control.sampling(),
            Self::Keep => control.keep(),
            Self::LogFilter => control.log_filter(),
        };
        text + "\n"
    }

    fn set(self, control: &Control, text: &str) -> io::Result<()> {
        match self {
            Self::State => Ok(()),
            Self::Sampling => control.set_sampling(text),
            Self::Keep => control.set_keep(text),
            Self::LogFilter => control.set_log_filter(text),
        }
    }
}

impl<B> Service<Request<B>> for ControlService
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let control = self.0.clone();
        Box::pin(async move { Ok(respond(&control, request).await) })
    }
}

async fn respond<B>(control: &Control, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send,
{
    let Some(resource) = Resource::at(request.uri().path()) else {
        return text(StatusCode::NOT_FOUND, NOT_FOUND);
    };
    match *request.method() {
        Method::GET | Method::HEAD => {}
        Method::PUT if resource != Resource::State => {
            if let Err((status, reason)) = put(control, resource, request).await {
                return text(status, &reason);
            }
        }
        _ => return not_allowed(resource),
    }
    let mut response = text(StatusCode::OK, "");
    *response.body_mut() = Full::from(resource.text(control));
    if resource == Resource::State {
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
    }
    response
}

/// Changes a setting. The error is the status and the text of the response.
async fn put<B>(
    control: &Control,
    resource: Resource,
    request: Request<B>,
) -> Result<(), (StatusCode, String)>
where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send,
{
    let refuse = |status, reason: &str| Err((status, reason.to_owned()));
    if !is_trusted(request.headers()) {
        return refuse(StatusCode::FORBIDDEN, FOREIGN);
    }
    let body = request.into_body();
    if body.size_hint().lower() > MAX_BYTES as u64 {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
    }
    let body = match Limited::new(body, MAX_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
        }
        Err(_) => return refuse(StatusCode::BAD_REQUEST, NOT_READ),
    };
    let Ok(setting) = str::from_utf8(&body) else {
        return refuse(StatusCode::BAD_REQUEST, NOT_UTF8);
    };
    resource.set(control, setting).map_err(|error| {
        let status = match error.kind() {
            io::ErrorKind::Unsupported => StatusCode::CONFLICT,
            _ => StatusCode::BAD_REQUEST,
        };
        (status, error.to_string())
    })
}

/// Returns whether a request may change settings: every `Origin` is a loopback address. Browsers send the origin of the page. A
/// page of a foreign host name must not change settings, even if the name resolves to this machine.
fn is_trusted(headers: &HeaderMap) -> bool {
    headers.get_all(ORIGIN).iter().all(is_loopback_origin)
}

fn not_allowed(resource: Resource) -> Response<Full<Bytes>> {
    let allowed = resource.methods();
    let reason = format!("the method is not allowed (expected one of {allowed})");
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, &reason);
    let allowed = HeaderValue::from_static(allowed);
    response.headers_mut().insert(ALLOW, allowed);
    response
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(format!("{text}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
#[path = "control_service_tests.rs"]
pub(crate) mod tests;
