//! An exact Prometheus recorder for the [`metrics`] facade, with a `/metrics` service and without an
//! async runtime.
//!
//! ```
//! use tower_otel_prometheus::Prometheus;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Install it before anything records.
//! let prometheus = Prometheus::builder()
//!     .buckets("llm_request_duration_seconds", [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0])
//!     .install()?;
//!
//! metrics::counter!("http_requests_total", "method" => "GET").increment(1);
//! assert!(prometheus.render().contains("http_requests_total{method=\"GET\"} 1"));
//! // axum: Router::new().route_service("/metrics", prometheus.service())
//! # Ok(())
//! # }
//! ```
//!
//! # Defaults
//!
//! | histograms named | buckets |
//! |---|---|
//! | `*_duration_seconds` | [`DURATION_BOUNDARIES`], advised by the semantic conventions |
//! | `*_body_size_bytes` | [`BODY_SIZE_BOUNDARIES`], powers of ten from 100 bytes to 100 megabytes |
//! | a name given to [`PrometheusBuilder::buckets`] | the given ones |
//! | anything else | none: rendered as a summary |
//!
//! The quantiles of summaries cannot be aggregated over several processes. Prefer buckets.
//!
//! Names are rendered as they were recorded, except that characters Prometheus does not allow become
//! `_`. No unit and no `_total` is appended.
//!
//! metrics-exporter-prometheus, which records the summaries, stores 16 bytes per sample until a
//! render. A thread sorts the samples every five seconds, so that memory does not grow without
//! scrapes: see [`PrometheusBuilder::upkeep`].
//!
//! # Native histograms
//!
//! With [`PrometheusBuilder::native_histograms`] every histogram with buckets has
//! [exponential buckets](https://prometheus.io/docs/specs/native_histograms/) as well. The service
//! answers in protobuf if the request prefers it, as a Prometheus server does that is started with
//! `--enable-feature=native-histograms`. No `protoc` is needed.
//!
//! # What is exact
//!
//! Counters, gauges and histograms with buckets: every recorded value is in the next render exactly
//! once, even if other threads record during a render, and `_count` equals the `+Inf` bucket. Each
//! series has a fixed size. `_sum` is read separately from the buckets: it may differ from them by
//! the samples recorded during the render. A NaN sample is dropped. An infinite sample is counted, in
//! the first or the `+Inf` bucket, and is not added to the sum.
//!
//! Keys that render alike, such as one with a label `a.b` and one with a label `a-b`, are one series
//! with the values of both. A name is used for one kind of metric: the first one wins, others are not
//! recorded, and a warning is logged once per name. Labels are sorted, and labels with an empty value are omitted. A label
//! `__name__` becomes `exported___name__`, and a label `le` of a histogram `exported_le`. Label values
//! are rendered unchanged.
//!
//! # What is not exact
//!
//! Summaries use the sample store of metrics-exporter-prometheus. It can lose samples that are
//! recorded at the moment it is drained by upkeep or a scrape: usually at most one, but if a thread is
//! interrupted at the wrong instruction, all samples of one series since the previous drain
//! (metrics-util 0.20.4). A shorter [`PrometheusBuilder::upkeep`] makes such a loss smaller and more
//! likely.
//!
//! In summaries, two labels that become the same name are rendered twice, and a backslash before
//! another backslash, a quote or a newline in a label value is lost or moved.
//!
//! # Not included
//!
//! - Removal of idle metrics (`idle_timeout`): a cached handle would continue to record into a metric
//!   that is not rendered any more.
//! - Compression: put a compression layer in front of [`MetricsService`].
//!
//! [`DURATION_BOUNDARIES`]: tower_otel_semconv::metric::DURATION_BOUNDARIES
//! [`BODY_SIZE_BOUNDARIES`]: tower_otel_semconv::metric::BODY_SIZE_BOUNDARIES

#![cfg_attr(docsrs, feature(doc_cfg))]

mod buckets;
mod builder;
mod error;
mod histogram;
mod labels;
mod metric_kinds;
mod native;
mod prometheus;
mod protobuf;
mod recorder;
mod registry;
mod service;
mod summary;
mod sync;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod upkeep;

pub use builder::PrometheusBuilder;
pub use error::InstallError;
pub use prometheus::Prometheus;
pub use service::MetricsService;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
