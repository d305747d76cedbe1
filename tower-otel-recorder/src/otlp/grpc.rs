//! OTLP over gRPC.
//!
//! A unary call is one HTTP/2 request. tonic's channel sends it. tonic's codec is not used, because it copies the message
//! and panics if the details of a status are not base64.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::{error::Error, future::poll_fn, io};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{CONTENT_TYPE, TE},
};
use http_body_util::{BodyExt, Full};
use tonic::{
    ConnectError,
    body::Body,
    transport::{Channel, Endpoint},
};
use tower_service::Service;

use crate::otlp::{
    answer::{Answer, MAX_ANSWER},
    error_text::with_causes,
    grpc_status::GrpcStatus,
    invalid::invalid,
};

const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

#[derive(Debug)]
pub(crate) struct GrpcClient {
    endpoint: Endpoint,
    /// Created on the export thread, because it starts a task.
    channel: Option<Channel>,
    headers: HeaderMap,
    /// Whether the endpoint has answered by gRPC.
    speaks_grpc: bool,
}

/// The hint in failures until the endpoint has answered by gRPC.
const HINT: &str = "the endpoint has not answered by gRPC: if it expects OTLP over HTTP, \
                    set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf or use `OtlpExporter::http`";

impl GrpcClient {
    /// The number of bytes before a message: one for the compression, four for its length.
    pub(crate) const PREFIX: usize = 5;

    pub(crate) fn new(endpoint: Endpoint, mut headers: HeaderMap, gzip: bool) -> Self {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if gzip {
            headers.insert("grpc-encoding", HeaderValue::from_static("gzip"));
        }
        Self {
            endpoint,
            channel: None,
            headers,
            speaks_grpc: false,
        }
    }

    pub(crate) fn write_prefix(body: &mut [u8], compressed: bool) {
        let length = body.len().saturating_sub(Self::PREFIX);
        // Longer requests do not occur.
        let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
        if let Some(prefix) = body.first_chunk_mut() {
            *prefix = [u8::from(compressed), a, b, c, d];
        }
    }

    pub(crate) fn reconnect(&mut self) {
        self.channel = None;
    }

    pub(crate) async fn send(&mut self, body: Bytes) -> Answer {
        let channel = match &mut self.channel {
            Some(channel) => channel,
            none => none.insert(self.endpoint.connect_lazy()),
        };
        let mut request = Request::new(Body::new(Full::new(body)));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = Uri::from_static(PATH);
        request.headers_mut().clone_from(&self.headers);
        if let Err(error) = poll_fn(|context| channel.poll_ready(context)).await {
            // The task of the channel may have ended.
            self.reconnect();
            return self.without_response(&error);
        }
        match channel.call(request).await {
            Ok(response) => {
                self.speaks_grpc |= is_grpc(response.headers());
                let answer = read(response).await;
                let hint = self.hint().filter(|_| matches!(answer, Answer::Failed(_)));
                answer.with_hint(hint)
            }
            Err(error) => self.without_response(&error),
        }
    }

    fn without_response(&self, error: &(dyn Error + 'static)) -> Answer {
        Answer::without_response(error, is_connect(error)).with_hint(self.hint())
    }

    fn hint(&self) -> Option<&'static str> {
        (!self.speaks_grpc).then_some(HINT)
    }
}

/// Returns whether a response is one of gRPC, whatever its status is.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    headers.contains_key("grpc-status")
        || content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// Returns whether the channel has no connection.
fn is_connect(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

async fn read(response: Response<Body>) -> Answer {
    let (head, mut body) = response.into_parts();
    let mut status = GrpcStatus::read(&head.headers);
    if status.is_none() && head.status != StatusCode::OK {
        return by_http_status(head.status);
    }
    let mut message = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return Answer::retry(with_causes(&error)),
        };
        if let Some(trailers) = frame.trailers_ref() {
            status = status.or_else(|| GrpcStatus::read(trailers));
        } else if let Some(data) = frame.data_ref() {
            message.extend_from_slice(data);
            if message.len() > MAX_ANSWER {
                return Answer::too_long();
            }
        }
    }
    match status {
        None => Answer::Failed("the collector's response has no grpc-status".to_owned()),
        Some(status) if status.is_ok() => accepted(&message),
        Some(status) => status.into_answer(),
    }
}

/// Reads the message of a response with the status OK.
fn accepted(message: &[u8]) -> Answer {
    match message {
        // A response may have no message.
        [] => Answer::accepted(&[]),
        [0, a, b, c, d, message @ ..]
            if usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])) == Ok(message.len()) =>
        {
            Answer::accepted(message)
        }
        _ => Answer::Failed("the collector's response is not gRPC".to_owned()),
    }
}

/// Returns the answer for the status of a proxy between this process and the collector.
fn by_http_status(status: StatusCode) -> Answer {
    let reason = format!("HTTP status {status}");
    match status.as_u16() {
        429 | 502 | 503 | 504 => Answer::retry(reason),
        _ => Answer::Failed(reason),
    }
}

/// Returns the endpoint of a valid URL.
pub(crate) fn endpoint(url: &str) -> io::Result<Endpoint> {
    let endpoint = Endpoint::from_shared(url.to_owned());
    endpoint.map_err(|error| {
        let error = with_causes(&error);
        invalid(&format!("the endpoint is not a URL: {error}"))
    })
}
