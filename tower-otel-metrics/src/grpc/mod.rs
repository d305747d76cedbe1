//! Separate metrics for gRPC calls: see [`MetricsLayer::grpc`](crate::MetricsLayer::grpc).

pub(crate) mod call;
pub(crate) mod call_key;
pub(crate) mod instruments;
pub(crate) mod labels;
pub(crate) mod metric_set;
pub(crate) mod unknown_method;
