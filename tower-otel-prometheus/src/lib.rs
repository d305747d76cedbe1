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
//! | a name given to [`PrometheusBuilder::buckets`] | the given ones |
//! | a label given to [`PrometheusBuilder::series_buckets`] | the given ones, and those of the name |
//! | `*_seconds` | [`DURATION_BOUNDARIES`], advised by the semantic conventions |
//! | `*_bytes` | [`BODY_SIZE_BOUNDARIES`], powers of ten from 100 bytes to 100 megabytes |
//! | anything else | the default ones of OpenTelemetry, from 0 to 10000 |
//!
//! Names are rendered as they were recorded, except that characters Prometheus does not allow become
//! `_`. No unit and no `_total` is appended.
//!
//! # Formats
//!
//! [`MetricsService`] answers in OpenMetrics 1.0, in protobuf or in the text format, as the request
//! prefers. Samples have the same names and values in all of them. In OpenMetrics, a counter whose name
//! does not end in `_total` has the type `unknown`, and so has a counter `NAME_total` beside another
//! metric `NAME`; the boundary `1` of a bucket is `1.0`; and a histogram with a negative boundary or
//! a negative sum has neither sum nor count. Metrics that the application does not describe have the help text
//! `Not described.` in all formats.
//!
//! # Native histograms
//!
//! With [`PrometheusBuilder::native_histograms`] every histogram has
//! [exponential buckets](https://prometheus.io/docs/specs/native_histograms/) as well. The service
//! answers in protobuf if the request prefers it. No `protoc` is needed. A message has at most 8 histograms or 64
//! other series: a metric with more is sent in several messages.
//!
//! | Prometheus | scrapes native histograms with |
//! |---|---|
//! | 3.8 and later | `scrape_native_histograms: true` in `global` or in the scrape configuration |
//! | 2.40 to 3.8 | `--enable-feature=native-histograms`, which has no effect from 3.9 on |
//!
//! # Exemplars
//!
//! With `PrometheusBuilder::exemplars` (feature `opentelemetry`) a bucket leads to a trace: it has the trace id
//! and the span id of a sample that was recorded inside a sampled span. Other recorders of the facade have
//! no exemplars.
//!
//! # What is exact
//!
//! Every recorded value is in the next render exactly once, even if other threads record during a
//! render, and `_count` equals the `+Inf` bucket. Each series has a fixed size. A series that is created
//! during a render may be in the next one only. `_sum` is read separately from the buckets: it may differ from them by
//! the samples recorded during the render. A NaN sample is dropped. An infinite sample is counted, in
//! the first or the `+Inf` bucket, and is not added to the sum.
//!
//! Keys that render alike, such as one with a label `a.b` and one with a label `a-b`, are one series
//! with the values of both. A name is used for one kind of metric: the first one wins, others are not
//! recorded, and a warning is logged once per name. A histogram `NAME` also uses the names `NAME_bucket`,
//! `NAME_count`, `NAME_created` and `NAME_sum`. Labels are sorted, and labels with an empty value are omitted. A label
//! `__name__` becomes `exported___name__`, and a label `le` of a histogram `exported_le`.
//!
//! # Bounds
//!
//! Label values have at most 256 bytes: longer ones are cut and end with `…`, and series that become equal
//! are one. Names have at most 256 bytes, and a series at most 64 labels. All series together use at most
//! about 128 MiB: values with new labels are then recorded in a series `NAME{otel_metric_overflow="true"}`.
//! A counter of that series is the total, and a gauge has the last value that was set.
//! There are at most 10,000 names, counting the four of the series of a histogram. Metrics with new names
//! beyond these limits are not recorded. A warning is logged once.
//!
//! # Not included
//!
//! - Summaries: their quantiles cannot be aggregated over several processes.
//! - Removal of idle metrics (`idle_timeout`): a cached handle would continue to record into a metric
//!   that is not rendered any more.
//! - Compression: the layer of `tower-http` [around](MetricsService#compression) the service has gzip and zstd.
//!
//! # Features
//!
//! | feature | default | enables |
//! |---|---|---|
//! | `opentelemetry` | no | exemplars, with the current span of OpenTelemetry |
//!
//! [`DURATION_BOUNDARIES`]: tower_otel_semconv::metric::DURATION_BOUNDARIES
//! [`BODY_SIZE_BOUNDARIES`]: tower_otel_semconv::metric::BODY_SIZE_BOUNDARIES

#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod buckets;
mod budget;
mod builder;
#[cfg(feature = "opentelemetry")]
mod current_span;
mod error;
mod exemplar;
mod format;
mod histogram;
mod labels;
mod metric_kinds;
mod native;
mod prometheus;
mod protobuf;
mod recorder;
mod registry;
mod scrape;
mod scrapes;
mod service;
mod sync;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod unit;

pub use builder::PrometheusBuilder;
pub use error::InstallError;
pub use prometheus::Prometheus;
pub use service::MetricsService;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
