//! Prometheus: the recorder, its upkeep and the `/metrics` service, without an async runtime.
//!
//! ```
//! use tower_otel_metrics::prometheus::Prometheus;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Before anything records: what was recorded earlier is gone, and so is what is recorded
//! // later through a handle taken earlier.
//! let prometheus = Prometheus::builder()
//!     .buckets("llm_request_duration_seconds", [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
//!     .install()?;
//!
//! metrics::counter!("http_requests_total", "method" => "GET").increment(1);
//! assert!(prometheus.render().contains("http_requests_total{method=\"GET\"} 1"));
//! # Ok(())
//! # }
//! ```
//!
//! # What is set for you
//!
//! * **Buckets.** Histograms named `*_duration_seconds` have the boundaries the semantic
//!   conventions advise ([`DURATION_BOUNDARIES`]). [`Builder::buckets`] gives a name its own. Any
//!   other histogram is rendered as the exporter's summary, whose quantiles cannot be added up
//!   over several processes: give it buckets.
//! * **Names.** They are rendered as they were recorded, apart from characters Prometheus does not
//!   know, which become `_`. No unit and no `_total` is appended.
//! * **Upkeep.** The exporter keeps every sample of a histogram until somebody renders, 16 bytes
//!   each: a service that nobody scrapes grows until it dies. A thread of its own sorts them into
//!   buckets every five seconds, see [`Builder::upkeep`].
//!
//! # What is left out
//!
//! The exporter can forget metrics that were not touched for a while (`idle_timeout`). It is not
//! offered here: the layers of this crate, and everybody who keeps a handle, would go on counting
//! into a metric that is no longer rendered, and those counts are lost. What bounds the number of
//! series is the limit of the layer.
//!
//! Compression is a matter of another layer in front of [`MetricsService`].

mod builder;
mod error;
mod recorder;
mod service;
mod upkeep;

use std::fmt;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;

pub use self::builder::{Builder, DURATION_BOUNDARIES};
pub use self::error::InstallError;
pub use self::recorder::Recorder;
pub use self::service::{MetricsBody, MetricsService};
use self::upkeep::Upkeep;

/// Reads what a [`Recorder`] has recorded. Clones read the same.
#[derive(Clone)]
pub struct Prometheus {
    handle: PrometheusHandle,
    _upkeep: Arc<Upkeep>,
}

impl Prometheus {
    /// A recorder to be configured.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Installs a recorder with the defaults, as [`Builder::install`] does.
    ///
    /// ```
    /// use tower_otel_metrics::prometheus::Prometheus;
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
    /// This is computation without a pause: about a hundredth of a millisecond for each series of
    /// a histogram, so ten milliseconds for a thousand of them.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
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
