//! A process that receives spans over OTLP/gRPC and counts them for each service.
//!
//! It does not decode the spans, so that it uses little CPU time, which it takes from the client and the servers.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    future::{Ready, ready},
    io::stdin,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    thread,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, combinators::WithTrailers};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::{common::v1::any_value::Value, resource::v1::Resource};
use prost::Message;
use tokio::{net::TcpListener, runtime};

use crate::workers::Process;

/// The decoded part of an export request.
#[derive(Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceSpans>,
}

#[derive(Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeSpans>,
}

#[derive(Message)]
struct ScopeSpans {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    spans: Vec<Bytes>,
}

impl ResourceSpans {
    fn service(&self) -> Option<&str> {
        let attributes = &self.resource.as_ref()?.attributes;
        let name = attributes.iter().find(|one| one.key == "service.name")?;
        match name.value.as_ref()?.value.as_ref()? {
            Value::StringValue(name) => Some(name),
            _ => None,
        }
    }

    fn spans(&self) -> usize {
        self.scopes.iter().map(|scope| scope.spans.len()).sum()
    }
}

/// The number of received spans for each service.
type Counts = Arc<Mutex<BTreeMap<String, usize>>>;

/// Runs the collector. Prints its address, and the numbers of received spans after the end of its input.
pub fn run() {
    let counts = Counts::default();
    let final_counts = Arc::clone(&counts);
    thread::spawn(move || {
        let _ = stdin().read_line(&mut String::new());
        for (service, spans) in &*final_counts.lock().unwrap() {
            println!("{spans} {service}");
        }
        std::process::exit(0);
    });
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        println!("http://{}", listener.local_addr().unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let counts = Arc::clone(&counts);
            let take = service_fn(move |export| take(Arc::clone(&counts), export));
            let connection = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), take));
        }
    });
}

/// The length of the prefix of a gRPC message: the compressed flag and the message length.
const PREFIX: usize = 5;

type GrpcResponse = WithTrailers<Full<Bytes>, Ready<Option<Result<HeaderMap, Infallible>>>>;

async fn take(counts: Counts, request: Request<Incoming>) -> hyper::Result<Response<GrpcResponse>> {
    let body = request.into_body().collect().await?.to_bytes();
    assert_eq!(body[0], 0, "compressed messages are not supported");
    let export = Export::decode(body.slice(PREFIX..)).unwrap();
    for resource in &export.resources {
        let service = resource.service().unwrap_or_default().to_owned();
        *counts.lock().unwrap().entry(service).or_default() += resource.spans();
    }
    // An empty message with the status OK.
    let status = HeaderName::from_static("grpc-status");
    let trailers = HeaderMap::from_iter([(status, HeaderValue::from_static("0"))]);
    let empty = Full::new(Bytes::from_static(&[0; PREFIX]));
    let mut response = Response::new(empty.with_trailers(ready(Some(Ok(trailers)))));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, grpc);
    Ok(response)
}

/// Stops a collector and returns the number of received spans for each service.
pub fn finish(collector: Process) -> BTreeMap<String, usize> {
    let lines = collector.finish();
    let parse = |line: &str| {
        let (spans, service) = line.split_once(' ').unwrap();
        (service.to_owned(), spans.parse().unwrap())
    };
    lines.iter().map(|line| parse(line)).collect()
}
