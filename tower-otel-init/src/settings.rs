//! Settings made in code.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::endpoint::redact;
use crate::metrics_exporters::MetricsExporters;
use crate::options::{LogFormat, LogsExporter, Protocol, TracesExporter};
use crate::sampler::Sampler;

/// The settings of a builder. A setting that is `None` is read from its variable.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    /// The service name if neither an attribute nor a variable sets one.
    pub(crate) default_service_name: Option<String>,
    pub(crate) resource_attributes: Vec<(String, String)>,
    pub(crate) endpoint: Option<String>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) export_timeout: Option<Duration>,
    pub(crate) sampler: Option<Sampler>,
    pub(crate) traces: Option<TracesExporter>,
    pub(crate) metrics: Option<MetricsExporters>,
    #[cfg(feature = "prometheus")]
    pub(crate) prometheus: Option<tower_otel_prometheus::PrometheusBuilder>,
    pub(crate) page: Option<SocketAddr>,
    pub(crate) logs: Option<LogsExporter>,
    pub(crate) queue_size: Option<usize>,
    pub(crate) batch_size: Option<usize>,
    pub(crate) schedule_delay: Option<Duration>,
    pub(crate) metric_interval: Option<Duration>,
    pub(crate) log_format: Option<LogFormat>,
    pub(crate) log_filter: Option<String>,
}

impl fmt::Debug for Settings {
    /// Omits headers and the credentials of the endpoint.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("default_service_name", &self.default_service_name)
            .field("endpoint", &self.endpoint.as_deref().map(redact))
            .field("protocol", &self.protocol)
            .field("sampler", &self.sampler)
            .field("traces", &self.traces)
            .field("metrics", &self.metrics)
            .field("logs", &self.logs)
            .field("page", &self.page)
            .finish_non_exhaustive()
    }
}
