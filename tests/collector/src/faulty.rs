//! A collector over gRPC and HTTP. A test chooses the response to each request.

use std::collections::VecDeque;
use std::future::Future;
use std::io::Read;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::serve::ListenerExt;
use flate2::read::GzDecoder;
use http_body::Frame;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::sync::oneshot;

/// A response to a request.
#[derive(Clone, Debug)]
pub enum Reply {
    Accept,
    /// Accepts the request except for this number of spans, with a message.
    Reject(i64, String),
    /// An error: the gRPC code, the HTTP status, and the value of `Retry-After`.
    Error(u16, u16, Option<String>),
    /// A retryable error with a delay in seconds.
    RetryIn(u64),
    /// A retryable error with details that are not base64, or with an invalid delay.
    InvalidDetails,
    /// Drops the request, and never responds.
    Stall,
    /// A success with a body that is not a protobuf message.
    Garbage,
    /// A success whose body sends single bytes and never ends.
    Trickle,
    /// A success with a body of a megabyte.
    Huge,
    /// A success whose body ends early with an error.
    BreakOff,
    Redirect(String),
    /// An error that is not retryable, with this text.
    Refuse(String),
    /// A success in JSON, over HTTP.
    Json(&'static str),
    /// Accepts requests of at most this number of bytes, before compression.
    Limit(usize),
}

/// The counts of the requests and spans that a collector has received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub requests: usize,
    /// The spans of accepted requests, without rejected spans.
    pub accepted: usize,
    /// The size of the largest accepted request, before compression.
    pub largest: usize,
}

type Script = dyn Fn(usize) -> Reply + Send + Sync;

/// A collector with a function that returns the response to a request. Its argument is the number of the request, from 0.
#[derive(Debug)]
pub struct FaultyCollector {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    headers: Arc<Mutex<HeaderMap>>,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl FaultyCollector {
    pub fn start(script: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), script)
    }

    pub fn start_at(
        address: SocketAddr,
        script: impl Fn(usize) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = std::net::TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Seen>>::default();
        let headers = Arc::<Mutex<HeaderMap>>::default();
        let server = Server {
            script: Arc::new(script),
            seen: Arc::clone(&seen),
            headers: Arc::clone(&headers),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let app = axum::Router::new().fallback(move |request: Request| {
                    let server = server.clone();
                    async move { server.answer(request).await }
                });
                // Prevents delays between the parts of a response.
                let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
                tokio::spawn(async move { axum::serve(listener, app).await });
                let _ = stopped.await;
            });
        });
        Self {
            address,
            seen,
            headers,
            running: Some((stop, thread)),
        }
    }

    pub fn seen(&self) -> Seen {
        *self.seen.lock().unwrap()
    }

    /// Returns the headers of the last request.
    pub fn headers(&self) -> HeaderMap {
        self.headers.lock().unwrap().clone()
    }
}

impl Drop for FaultyCollector {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }
}

#[derive(Clone)]
struct Server {
    script: Arc<Script>,
    seen: Arc<Mutex<Seen>>,
    headers: Arc<Mutex<HeaderMap>>,
}

impl Server {
    async fn answer(self, request: Request) -> Response<Body> {
        let (head, body) = request.into_parts();
        let is_grpc = head.headers["content-type"] == "application/grpc";
        *self.headers.lock().unwrap() = head.headers.clone();
        let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
            return Response::default();
        };
        let message = message(is_grpc, &head.headers, &body);
        let spans = spans(&message);
        let number = {
            let mut seen = self.seen.lock().unwrap();
            seen.requests += 1;
            seen.requests - 1
        };
        let accept = |spans| {
            let mut seen = self.seen.lock().unwrap();
            seen.accepted += spans;
            seen.largest = seen.largest.max(message.len());
        };
        let reply = (self.script)(number);
        let mut response = ExportTraceServiceResponse::default();
        match reply {
            Reply::Accept => accept(spans),
            Reply::Limit(limit) if message.len() <= limit => accept(spans),
            Reply::Reject(rejected, error_message) => {
                accept(spans.saturating_sub(usize::try_from(rejected).unwrap_or(0)));
                response.partial_success = Some(ExportTracePartialSuccess {
                    rejected_spans: rejected,
                    error_message,
                });
            }
            Reply::Limit(_) if is_grpc => return grpc_error(11, None),
            Reply::Limit(_) => return http_error(413, None),
            Reply::Error(code, _, _) if is_grpc => return grpc_error(code, None),
            Reply::Error(_, status, after) => return http_error(status, after),
            Reply::RetryIn(seconds) if is_grpc => {
                return grpc_error(14, Some(&retry_info(seconds)));
            }
            Reply::RetryIn(seconds) => return http_error(503, Some(seconds.to_string())),
            Reply::InvalidDetails if is_grpc => return grpc_error(14, Some("%%%")),
            Reply::InvalidDetails => return http_error(503, Some("soon".to_owned())),
            Reply::Stall => return std::future::pending().await,
            Reply::Redirect(to) => {
                let response = Response::builder().status(307).header("location", to);
                return response.body(Body::empty()).unwrap();
            }
            Reply::Refuse(text) if is_grpc => return grpc_error_with(3, &text),
            Reply::Refuse(text) => return http_error_with(400, &text),
            Reply::Json(text) => {
                let response = Response::builder().header("content-type", "Application/JSON");
                return response.body(Body::from(text)).unwrap();
            }
            Reply::Garbage => return success(is_grpc, vec![Step::Data(vec![0xa5; 100])]),
            Reply::Huge => return success(is_grpc, vec![Step::Data(vec![0; 1 << 20])]),
            Reply::Trickle => return success(is_grpc, vec![Step::Trickle]),
            Reply::BreakOff => {
                return success(is_grpc, vec![Step::Data(vec![0]), Step::Flush, Step::Break]);
            }
        }
        let response = response.encode_to_vec();
        let mut framed = Vec::new();
        if is_grpc {
            framed.push(0);
            framed.extend((response.len() as u32).to_be_bytes());
        }
        framed.extend(response);
        success(is_grpc, vec![Step::Data(framed)])
    }
}

/// Returns the message of a request, uncompressed.
fn message(is_grpc: bool, headers: &HeaderMap, body: &[u8]) -> Vec<u8> {
    let (message, compressed) = if is_grpc {
        let length = u32::from_be_bytes(body[1..5].try_into().unwrap());
        assert_eq!(length as usize, body.len() - 5);
        assert_eq!(body[0] == 1, headers.contains_key("grpc-encoding"));
        (&body[5..], body[0] == 1)
    } else {
        (body, headers.contains_key("content-encoding"))
    };
    if !compressed {
        return message.to_vec();
    }
    let mut plain = Vec::new();
    GzDecoder::new(message).read_to_end(&mut plain).unwrap();
    plain
}

/// Returns the number of spans. Requests of other signals have none.
fn spans(message: &[u8]) -> usize {
    let request = ExportTraceServiceRequest::decode(message).unwrap_or_default();
    let resources = request.resource_spans.iter();
    let scopes = resources.flat_map(|resource| &resource.scope_spans);
    scopes.map(|scope| scope.spans.len()).sum()
}

fn grpc_error(code: u16, details: Option<&str>) -> Response<Body> {
    let mut response = Response::builder()
        .header("content-type", "application/grpc")
        .header("grpc-status", code.to_string())
        .header("grpc-message", "from http://me:s3cret@collector/");
    if let Some(details) = details {
        response = response.header("grpc-status-details-bin", details);
    }
    response.body(Body::empty()).unwrap()
}

fn grpc_error_with(code: u16, text: &str) -> Response<Body> {
    let mut response = grpc_error(code, None);
    let text = HeaderValue::from_str(text).unwrap();
    response.headers_mut().insert("grpc-message", text);
    response
}

/// Returns a `google.rpc.Status` with a `RetryInfo`, in base64.
fn retry_info(seconds: u64) -> String {
    #[derive(prost::Message)]
    struct Status {
        #[prost(message, repeated, tag = "3")]
        details: Vec<Any>,
    }
    #[derive(prost::Message)]
    struct Any {
        #[prost(string, tag = "1")]
        type_url: String,
        #[prost(message, optional, tag = "2")]
        value: Option<RetryInfo>,
    }
    #[derive(prost::Message)]
    struct RetryInfo {
        #[prost(message, optional, tag = "1")]
        delay: Option<Seconds>,
    }
    #[derive(prost::Message)]
    struct Seconds {
        #[prost(uint64, tag = "1")]
        seconds: u64,
    }
    let status = Status {
        details: vec![Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
            value: Some(RetryInfo {
                delay: Some(Seconds { seconds }),
            }),
        }],
    };
    base64(&status.encode_to_vec())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..=group.len() {
            let value = bits >> (18 - 6 * digit) & 63;
            text.push(char::from(DIGITS[value as usize]));
        }
    }
    text
}

fn http_error(status: u16, after: Option<String>) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if let Some(after) = after {
        response = response.header("retry-after", after);
    }
    response
        .body(status_body("from http://me:s3cret@collector/"))
        .unwrap()
}

fn http_error_with(status: u16, text: &str) -> Response<Body> {
    let response = Response::builder().status(status);
    response.body(status_body(text)).unwrap()
}

/// Returns a `google.rpc.Status` with a message.
fn status_body(text: &str) -> Body {
    let mut body = vec![0x12];
    prost::encoding::encode_varint(text.len() as u64, &mut body);
    body.extend_from_slice(text.as_bytes());
    Body::from(body)
}

fn success(is_grpc: bool, steps: Vec<Step>) -> Response<Body> {
    let mut steps = VecDeque::from(steps);
    let mut response = Response::builder().status(StatusCode::OK);
    if is_grpc {
        steps.push_back(Step::Trailers);
        response = response.header("content-type", "application/grpc");
    } else {
        response = response.header("content-type", "application/x-protobuf");
    }
    let body = Steps { steps, pause: None };
    response.body(Body::new(body)).unwrap()
}

/// A part of a body.
enum Step {
    Data(Vec<u8>),
    /// `grpc-status: 0`.
    Trailers,
    /// Lets the server send the data so far.
    Flush,
    /// Closes the stream.
    Break,
    /// Sends a byte every few milliseconds, without end.
    Trickle,
}

struct Steps {
    steps: VecDeque<Step>,
    pause: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl http_body::Body for Steps {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        Poll::Ready(match self.steps.pop_front() {
            None => None,
            Some(Step::Data(data)) => Some(Ok(Frame::data(data.into()))),
            Some(Step::Trailers) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                Some(Ok(Frame::trailers(trailers)))
            }
            Some(Step::Flush) => {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Some(Step::Break) => Some(Err(std::io::Error::other("breaks off"))),
            Some(Step::Trickle) => {
                self.steps.push_front(Step::Trickle);
                let pause = tokio::time::sleep(Duration::from_millis(5));
                self.pause = Some(Box::pin(pause));
                Some(Ok(Frame::data(Bytes::from_static(&[0]))))
            }
        })
    }
}
