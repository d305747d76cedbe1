//! An exact Prometheus recorder for the [`metrics`] facade, with a `/metrics` service. It needs no async
//! runtime.
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
//! | by [`PrometheusBuilder::buckets`] | the given ones |
//! | by [`PrometheusBuilder::series_buckets`], in series with the given label | the given ones, and those of the name |
//! | `*_seconds` | [`DURATION_BOUNDARIES`], advised by the semantic conventions |
//! | `*_bytes` | [`BODY_SIZE_BOUNDARIES`], powers of ten from 100 bytes to 100 megabytes |
//! | anything else | the default ones of OpenTelemetry, from 0 to 10000 |
//!
//! Names are rendered as recorded. Characters that Prometheus does not allow become `_`. No unit and no `_total` is appended.
//!
//! # Formats
//!
//! [`MetricsService`] answers in OpenMetrics 1.0, in protobuf or in the text format, as the request prefers. Samples have the same
//! names and values in all of them. The help text of a metric that the application does not describe is `Not described.`
//! OpenMetrics differs in these cases:
//!
//! - The type is `unknown` for a counter whose name does not end in `_total`, and for a counter `NAME_total` beside a metric `NAME`.
//! - The boundary `1` of a bucket is `1.0`.
//! - A histogram with a negative boundary or a negative sum has neither sum nor count.
//!
//! # Native histograms
//!
//! With [`PrometheusBuilder::native_histograms`] every histogram also has
//! [exponential buckets](https://prometheus.io/docs/specs/native_histograms/). The service answers in protobuf if the request prefers
//! it. A message has at most 8 histograms or 64 other series; a metric
//! with more is sent in several messages.
//!
//! | Prometheus | scrapes native histograms with |
//! |---|---|
//! | 3.8 and later | `scrape_native_histograms: true` in `global` or in the scrape configuration |
//! | 2.40 to 3.8 | `--enable-feature=native-histograms`, which has no effect from 3.9 on |
//!
//! # Exemplars
//!
//! With `PrometheusBuilder::exemplars` (feature `opentelemetry`), a bucket has the trace id and the span id of a sample that was
//! recorded inside a sampled span. A request whose trace is kept by the rules of `tower-otel-recorder` is one, too, if
//! [`observe((TraceLayer, MetricsLayer))`][kept] records it.
//!
//! # What is exact
//!
//! Every recorded value is in the next render exactly once, even if other threads record during a render, and `_count` equals the
//! `+Inf` bucket. `_sum` is read separately: it can differ from the buckets by the samples recorded during the render. A series that
//! is created during a render can appear in the next one only. A NaN sample is dropped. An infinite sample is counted in the first
//! or the `+Inf` bucket and is not added to the sum.
//!
//! | recorded | rendered |
//! |---|---|
//! | keys that render alike, such as the labels `a.b` and `a-b` | one series with the values of both |
//! | a name for two kinds of metric | the first kind; the other is not recorded, and a warning is logged once per name |
//! | a histogram `NAME` | uses the names `NAME_bucket`, `NAME_count`, `NAME_created` and `NAME_sum`, too |
//! | labels | sorted, without those that have an empty value |
//! | a label `__name__`; a label `le` of a histogram | `exported___name__`; `exported_le` |
//!
//! # Bounds
//!
//! | limit | value | beyond it |
//! |---|---|---|
//! | label value | 256 bytes | cut, ends with `…`; series that become equal are one |
//! | name | 256 bytes | cut; metrics that become equal are one |
//! | labels of a series | 64 | further labels are omitted |
//! | all series | about 128 MiB | new label values are recorded in `NAME{otel_metric_overflow="true"}`: the total of a counter, the last value of a gauge |
//! | names, including the four others of a histogram | 10,000 | the metric is not recorded |
//!
//! A warning is logged once.
//!
//! # Not included
//!
//! - Summaries: their quantiles cannot be aggregated over several processes.
//! - Removal of idle metrics (`idle_timeout`): a cached handle would continue to record into a metric
//!   that is not rendered any more.
//! - Compression: wrap the service in the [compression layer](MetricsService#compression) of `tower-http`.
//!
//! # Features
//!
//! | feature | default | enables |
//! |---|---|---|
//! | `opentelemetry` | no | exemplars, with the current span of OpenTelemetry |
//!
//! [kept]: https://docs.rs/tower-otel-metrics/latest/tower_otel_metrics/#exemplars
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
