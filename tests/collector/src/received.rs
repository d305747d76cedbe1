//! How a collector behaves, and what it has received.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;

/// The behavior of a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Behavior {
    Accepts,
    /// Rejects the first item of each batch, in a `partial_success`.
    Rejects,
    /// Responds with an error.
    Refuses,
    /// Never responds.
    Hangs,
    /// Sends bytes of no protocol on every connection.
    SendsGarbage,
}

#[derive(Debug, Default)]
pub struct Received {
    /// The accepted and the rejected spans of each service.
    pub counts: BTreeMap<String, (u64, u64)>,
    /// The accepted spans, unless the collector only counts them.
    pub spans: Vec<Span>,
    pub resources: Vec<(String, Value)>,
    /// Name, version and schema URL of the scopes.
    pub scopes: Vec<[String; 3]>,
    pub headers: Vec<(String, String)>,
    /// The names of all metrics.
    pub metrics: Vec<String>,
    /// The requests with metrics, each with its headers.
    pub pushes: Vec<(HeaderMap, ExportMetricsServiceRequest)>,
    pub logs: Vec<LogRecord>,
    pub calls: usize,
}

impl Received {
    /// Returns the service name of the last resource.
    pub(crate) fn service(&self) -> String {
        let mut attributes = self.resources.iter();
        match attributes.find(|(key, _)| key == "service.name") {
            Some((_, Value::StringValue(name))) => name.clone(),
            _ => String::new(),
        }
    }
}
