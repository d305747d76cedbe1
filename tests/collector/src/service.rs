//! What a collector answers to an export, and what it stores of it.

use std::sync::{Arc, Mutex};

use axum::http::HeaderMap;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::LogsService;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::MetricsService;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::TraceService;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::{Request, Response, Status};

use crate::received::{Behavior, Received};

/// The answers of a collector.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) received: Arc<Mutex<Received>>,
    pub(crate) stores_spans: bool,
    pub(crate) behavior: Behavior,
}

impl Service {
    /// Stores the headers of the last request with spans.
    pub(crate) fn store_headers(&self, headers: &HeaderMap) {
        let names = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        self.received.lock().unwrap().headers = names.collect();
    }

    pub(crate) async fn respond(&self) -> Result<(), Status> {
        self.received.lock().unwrap().calls += 1;
        match self.behavior {
            Behavior::Accepts | Behavior::Rejects => Ok(()),
            Behavior::Refuses => Err(Status::invalid_argument("no")),
            Behavior::Hangs | Behavior::SendsGarbage => std::future::pending().await,
        }
    }

    pub(crate) fn take(
        &self,
        mut request: ExportTraceServiceRequest,
    ) -> ExportTraceServiceResponse {
        let mut partial_success = None;
        let mut rejected = 0;
        if self.behavior == Behavior::Rejects {
            request.resource_spans[0].scope_spans[0].spans.remove(0);
            rejected = 1;
            partial_success = Some(ExportTracePartialSuccess {
                rejected_spans: 1,
                error_message: "too old".to_owned(),
            });
        }
        let mut received = self.received.lock().unwrap();
        for resource in request.resource_spans {
            let attributes = resource.resource.unwrap_or_default().attributes;
            received.resources = attributes
                .into_iter()
                .filter_map(|attribute| Some((attribute.key, attribute.value?.value?)))
                .collect();
            let service = received.service();
            for spans in resource.scope_spans {
                let counts = received.counts.entry(service.clone()).or_default();
                counts.0 += spans.spans.len() as u64;
                counts.1 += std::mem::take(&mut rejected);
                if !self.stores_spans {
                    continue;
                }
                let scope = spans.scope.unwrap_or_default();
                let scope = [scope.name, scope.version, spans.schema_url];
                received.scopes.push(scope);
                received.spans.extend(spans.spans);
            }
        }
        ExportTraceServiceResponse { partial_success }
    }

    pub(crate) fn take_metrics(
        &self,
        headers: HeaderMap,
        request: ExportMetricsServiceRequest,
    ) -> ExportMetricsServiceResponse {
        let metrics = request.resource_metrics.iter();
        let metrics = metrics.flat_map(|resource| &resource.scope_metrics);
        let metrics = metrics.flat_map(|scope| &scope.metrics);
        let mut received = self.received.lock().unwrap();
        received
            .metrics
            .extend(metrics.map(|metric| metric.name.clone()));
        received.pushes.push((headers, request));
        let partial_success =
            (self.behavior == Behavior::Rejects).then(|| ExportMetricsPartialSuccess {
                rejected_data_points: 1,
                error_message: "too old".to_owned(),
            });
        ExportMetricsServiceResponse { partial_success }
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.respond().await?;
        let headers = request.metadata().clone().into_headers();
        self.store_headers(&headers);
        Ok(Response::new(self.take(request.into_inner())))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.respond().await?;
        let headers = request.metadata().clone().into_headers();
        let response = self.take_metrics(headers, request.into_inner());
        Ok(Response::new(response))
    }
}

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.respond().await?;
        let logs = request.into_inner().resource_logs.into_iter();
        let logs = logs.flat_map(|resource| resource.scope_logs);
        let mut logs: Vec<_> = logs.flat_map(|scope| scope.log_records).collect();
        let mut partial_success = None;
        if self.behavior == Behavior::Rejects {
            logs.remove(0);
            partial_success = Some(ExportLogsPartialSuccess {
                rejected_log_records: 1,
                error_message: "too old".to_owned(),
            });
        }
        self.received.lock().unwrap().logs.extend(logs);
        Ok(Response::new(ExportLogsServiceResponse { partial_success }))
    }
}
