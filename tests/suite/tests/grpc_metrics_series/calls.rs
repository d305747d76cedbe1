//! Calls of gRPC and the series that they create.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Future, pending},
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version, header::CONTENT_TYPE};
use http_body::Frame;
use http_body_util::{Empty, Full, StreamBody};
use suite_tests::{
    net::{ScriptedBody, Step},
    telemetry::TestTelemetry,
};
use tonic::{Code, Status, body::Body};
use tower::Service;

const GRPC: &str = "application/grpc";

pub(crate) fn grpc_request(path: &str) -> Request<Empty<Bytes>> {
    let request = Request::post(format!("http://shop.internal:50051{path}"));
    let request = request
        .version(Version::HTTP_2)
        .header(CONTENT_TYPE, "application/grpc");
    request.body(Empty::new()).unwrap()
}

type HandlerFuture = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>>>>;

/// Responds to a call by the name of its method:
///
/// | method | response |
/// |---|---|
/// | `status-N` | this status in the head |
/// | `late-N` | this status in the trailers |
/// | `http-N` | this HTTP status with a text |
/// | `refused-N` | this HTTP status with the content type of gRPC, a text and the status `OK` in the trailers |
/// | `json-N` | JSON with this status in the trailers |
/// | `stream` | a stream that does not end |
/// | others | none |
pub(crate) fn respond(request: Request<Empty<Bytes>>) -> HandlerFuture {
    let path = request.uri().path().to_owned();
    let (_, method) = path.rsplit_once('/').unwrap();
    let (kind, number) = method.split_once('-').unwrap_or((method, ""));
    let number = number.split('/').next().and_then(|text| text.parse().ok());
    let response = match (kind, number) {
        ("status", Some(code)) => Status::new(Code::from_i32(code), "").into_http(),
        ("http", Some(status)) => Response::builder()
            .status(status as u16)
            .body(Body::new(Full::from("no")))
            .unwrap(),
        ("refused", Some(status)) => {
            let mut response = late(GRPC, "no", 0);
            *response.status_mut() = http::StatusCode::from_u16(status as u16).unwrap();
            response
        }
        ("json", Some(code)) => late("application/json", "{}", code),
        ("late", Some(code)) => late(GRPC, "", code),
        ("stream", _) => Response::builder()
            .header(CONTENT_TYPE, "application/grpc")
            .body(Body::new(ScriptedBody::new([
                Step::Data("a"),
                Step::Pending,
            ])))
            .unwrap(),
        _ => return Box::pin(pending()),
    };
    Box::pin(async { Ok(response) })
}

/// Returns a response whose status of gRPC is in its trailers.
fn late(content_type: &str, data: &'static str, code: i32) -> Response<Body> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", code.into());
    let data = (!data.is_empty()).then(|| Frame::data(Bytes::from(data)));
    let frames = data.into_iter().chain([Frame::trailers(trailers)]);
    let body = StreamBody::new(tokio_stream::iter(frames.map(Ok::<_, Status>)));
    let response = Response::builder().header(CONTENT_TYPE, content_type);
    response.body(Body::new(body)).unwrap()
}

/// Makes a call, and drops it when it is pending.
pub(crate) fn call<S, B>(service: &mut S, path: &str)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body,
{
    send(service, grpc_request(path));
}

pub(crate) fn send<S, B>(service: &mut S, request: Request<Empty<Bytes>>)
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body,
{
    let cx = &mut Context::from_waker(Waker::noop());
    let mut future = pin!(service.call(request));
    if let Poll::Ready(Ok(response)) = future.as_mut().poll(cx) {
        let mut body = pin!(response.into_body());
        while let Poll::Ready(Some(Ok(_))) = body.as_mut().poll_frame(cx) {}
    }
}

/// Returns the value of each series. Histograms are represented by their count.
pub(crate) fn counted(telemetry: &TestTelemetry) -> BTreeMap<String, f64> {
    let series = telemetry.series();
    let series = series.iter().map(|line| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    });
    series.collect()
}
