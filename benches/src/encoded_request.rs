//! Measures the export without encoding, by sending a request that was encoded before the measurement.

use std::{
    future::poll_fn,
    sync::{Arc, Mutex},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version, header};
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::{
    tonic::collector::trace::v1::ExportTraceServiceRequest,
    transform::{
        common::tonic::ResourceAttributesWithSchema,
        trace::tonic::group_spans_by_resource_and_scope,
    },
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use prost::Message;
use tokio::runtime::{self, Runtime};
use tonic::{
    body::Body,
    transport::{Channel, Endpoint},
};
use tower::Service;
use tower_otel_trace::Recorder;

/// A request, and a channel like the one that the recorder uses.
#[derive(Debug)]
pub struct EncodedRequest {
    runtime: Runtime,
    channel: Channel,
    headers: HeaderMap,
    body: Bytes,
}

impl EncodedRequest {
    /// Encodes the spans that `record` records and flushes.
    pub fn new(endpoint: &str, resource: &Resource, record: impl FnOnce(Recorder)) -> Self {
        let spans = StoredSpans::default();
        let recorder = Recorder::builder(spans.clone()).build().unwrap();
        record(recorder);
        let spans = std::mem::take(&mut *spans.0.lock().unwrap());
        let resource = ResourceAttributesWithSchema::from(resource);
        let request = ExportTraceServiceRequest {
            resource_spans: group_spans_by_resource_and_scope(spans, &resource),
        };
        let mut body = BytesMut::new();
        body.put_u8(0);
        body.put_u32(request.encoded_len() as u32);
        request.encode(&mut body).unwrap();
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.unwrap();
        let channel = {
            let _entered = runtime.enter();
            Endpoint::from_shared(endpoint.to_owned())
                .unwrap()
                .connect_lazy()
        };
        let grpc = HeaderValue::from_static("application/grpc");
        let trailers = HeaderValue::from_static("trailers");
        Self {
            runtime,
            channel,
            headers: HeaderMap::from_iter([(header::CONTENT_TYPE, grpc), (header::TE, trailers)]),
            body: body.freeze(),
        }
    }

    /// Sends the request and waits for the response.
    pub fn send(&self) {
        const PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let mut channel = self.channel.clone();
        let mut request = Request::new(Body::new(Full::new(self.body.clone())));
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = Uri::from_static(PATH);
        request.headers_mut().clone_from(&self.headers);
        self.runtime.block_on(async {
            poll_fn(|context| channel.poll_ready(context))
                .await
                .unwrap();
            let response = channel.call(request).await.unwrap();
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        });
    }
}

/// Stores the spans of an export.
#[derive(Clone, Debug, Default)]
struct StoredSpans(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for StoredSpans {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}
