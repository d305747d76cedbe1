//! Reading what was recorded.

use std::{fmt, sync::Arc};

use metrics_exporter_prometheus::PrometheusHandle;

use crate::{
    builder::PrometheusBuilder, error::InstallError, families, protobuf, registry::Registry,
    service::MetricsService, upkeep::Upkeep,
};

/// Reads what a [`Recorder`](crate::Recorder) has recorded. Clones read the same.
#[derive(Clone)]
pub struct Prometheus {
    pub(crate) handle: PrometheusHandle,
    pub(crate) registry: Arc<Registry>,
    pub(crate) _upkeep: Arc<Upkeep>,
}

impl Prometheus {
    /// A recorder to be configured.
    pub fn builder() -> PrometheusBuilder {
        PrometheusBuilder::default()
    }

    /// Installs a recorder with the defaults, as [`PrometheusBuilder::install`] does.
    ///
    /// ```
    /// use tower_otel_prometheus::Prometheus;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let prometheus = Prometheus::install()?;
    /// metrics::gauge!("websocket_connections").increment(1);
    /// assert!(prometheus.render().contains("websocket_connections 1"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If a recorder is already installed, or the upkeep thread cannot be started.
    pub fn install() -> Result<Self, InstallError> {
        Self::builder().install()
    }

    /// Everything recorded so far, in the text format, version 0.0.4.
    ///
    /// This is computation without a pause: about two thousandths of a millisecond for each series
    /// of a histogram, ten times that for a summary, so two milliseconds for a thousand histograms.
    /// Nobody who records waits for it.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        self.registry.render_values(&mut text);
        text.push_str(&self.handle.render());
        self.registry.render_histograms(&mut text);
        text
    }

    /// The same in the delimited protobuf format, with native histograms.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for summary in families::parse(&self.handle.render()) {
            protobuf::summary(&mut out, summary);
        }
        self.registry.encode(&mut out);
        out
    }

    /// The service behind `/metrics`.
    #[must_use]
    pub fn service(&self) -> MetricsService {
        MetricsService::new(self.clone())
    }
}

impl fmt::Debug for Prometheus {
    /// Without the recorded values, which may be many.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prometheus").finish_non_exhaustive()
    }
}
