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
//!   conventions advise ([`DURATION_BOUNDARIES`](tower_otel_semconv::metric::DURATION_BOUNDARIES)),
//!   those of databases and models in [`app`](crate::app) the boundaries advised for these, and
//!   `*_body_size_bytes` the powers of ten from a hundred bytes to a hundred megabytes, for which there
//!   is no advice. [`Builder::buckets`] gives a name its own. Any other histogram is rendered as the
//!   exporter's summary, whose quantiles cannot be added up over several processes: give it buckets.
//! * **Names.** They are rendered as they were recorded, apart from characters Prometheus does not
//!   know, which become `_`. No unit and no `_total` is appended.
//! * **Upkeep.** The exporter keeps every sample of a summary until somebody renders, 16 bytes each:
//!   a service that nobody scrapes grows until it dies. A thread of its own sorts them every five
//!   seconds, see [`Builder::upkeep`].
//!
//! # Native histograms
//!
//! [`Builder::native_histograms`] counts every histogram with buckets in
//! [exponential buckets](https://prometheus.io/docs/specs/native_histograms/) as well, and the
//! service then answers in protobuf whoever prefers that, as a Prometheus does that was started with
//! `--enable-feature=native-histograms`. There is nothing to generate and no `protoc`.
//!
//! # What is left out
//!
//! The exporter can forget metrics that were not touched for a while (`idle_timeout`). It is not
//! offered here: the layers of this crate, and everybody who keeps a handle, would go on counting
//! into a metric that is no longer rendered, and those counts are lost. What bounds the number of
//! series is the limit of the layer.
//!
//! Compression is a matter of another layer in front of [`MetricsService`].
//!
//! # What is exact
//!
//! Counters, gauges and every histogram with buckets: whatever was recorded is in the next render,
//! once, however many threads record while others render, and `_count` is the `+Inf` bucket. They
//! are this crate's own, fixed sets of numbers that neither grow nor need to be drained. `_sum` is
//! read beside its buckets: in a render taken while others record it may be ahead or behind by the
//! samples of that very instant, never for good. A sample that is NaN is dropped; an infinite one is
//! counted, in the first or the `+Inf` bucket, but not added to the sum.
//!
//! Keys that are rendered alike, say with a label `a.b` and with a label `a-b`, are one series, which
//! has what was recorded to both. Labels are sorted, and those without a value are left out. A label
//! called `__name__` becomes `exported___name__`, and one of a histogram called `le` becomes
//! `exported_le`. Label values are rendered as they are.
//!
//! The exporter, which renders summaries, does less: labels whose names become one it writes twice,
//! and a backslash before another one, a quote or a newline in a label value it loses or moves. The
//! former cannot happen to names of letters, digits and `_`.
//!
//! # What is not
//!
//! Only summaries, the histograms without buckets, go through the exporter's sample store. It can
//! lose samples that are recorded in the very instant in which it is drained, by upkeep or by a
//! scrape: seldom more than one, but a thread interrupted at the wrong instruction loses what one
//! series has gathered since the drain before (metrics-util 0.20.4). A short [`Builder::upkeep`]
//! makes such a loss smaller and likelier; buckets make it impossible.

mod buckets;
mod builder;
mod error;
mod families;
mod histogram;
mod native;
mod protobuf;
mod recorder;
mod registry;
mod service;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod upkeep;

use std::fmt;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;

pub use self::builder::Builder;
pub use self::error::InstallError;
pub use self::recorder::Recorder;
use self::registry::Registry;
pub use self::service::{MetricsBody, MetricsService};
use self::upkeep::Upkeep;

/// Reads what a [`Recorder`] has recorded. Clones read the same.
#[derive(Clone)]
pub struct Prometheus {
    handle: PrometheusHandle,
    registry: Arc<Registry>,
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
