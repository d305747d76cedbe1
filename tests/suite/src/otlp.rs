//! An OTLP/gRPC receiver in the process of the test.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value::Value,
    metrics::v1::ScopeMetrics,
    trace::v1::Span,
};
use tokio::{net::TcpListener, sync::Notify};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use crate::telemetry::with_timeout;

/// An OTLP receiver that stores spans with their service names, and metrics.
#[derive(Clone, Debug)]
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    spans: Mutex<Vec<(String, Span)>>,
    metrics: Mutex<Vec<ScopeMetrics>>,
    received: Notify,
}

impl Receiver {
    /// Starts the receiver on a free port of loopback.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let spans = TraceServiceServer::new(receiver.clone());
        let metrics = MetricsServiceServer::new(receiver.clone());
        tokio::spawn(
            Server::builder()
                .add_service(spans)
                .add_service(metrics)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        receiver
    }

    /// Returns the endpoint for an exporter.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits for `count` spans and returns them with their service names.
    pub async fn spans(&self, count: usize) -> Vec<(String, Span)> {
        let arrived = self.spans_until(|spans| spans.len() >= count);
        with_timeout(&format!("{count} spans arrive"), arrived).await
    }

    /// Waits without a timeout until the received spans satisfy the condition.
    pub async fn spans_until(
        &self,
        condition: impl Fn(&[(String, Span)]) -> bool,
    ) -> Vec<(String, Span)> {
        loop {
            let received = self.state.received.notified();
            let spans = self.state.spans.lock().unwrap().clone();
            if condition(&spans) {
                return spans;
            }
            received.await;
        }
    }

    /// Returns the metrics of the last export.
    pub fn metrics(&self) -> Vec<ScopeMetrics> {
        self.state.metrics.lock().unwrap().clone()
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let resources = request.into_inner().resource_metrics.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_metrics);
        *self.state.metrics.lock().unwrap() = scopes.collect();
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut spans = self.state.spans.lock().unwrap();
        for resource in request.into_inner().resource_spans {
            let service = resource
                .resource
                .into_iter()
                .flat_map(|resource| resource.attributes)
                .find(|attribute| attribute.key == "service.name")
                .and_then(|attribute| attribute.value?.value)
                .map_or_else(String::new, |value| match value {
                    Value::StringValue(name) => name,
                    other => panic!("the service name is not a string: {other:?}"),
                });
            for scope in resource.scope_spans {
                spans.extend(scope.spans.into_iter().map(|span| (service.clone(), span)));
            }
        }
        drop(spans);
        self.state.received.notify_waiters();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Returns an attribute of a received span.
pub fn attribute(span: &Span, key: &str) -> Option<Value> {
    span.attributes
        .iter()
        .find(|attribute| attribute.key == key)
        .and_then(|attribute| attribute.value.clone()?.value)
}
