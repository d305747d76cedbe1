//! A recorder for the [`metrics`] facade with exact values, and a tower service for `/metrics`. The crate needs no async
//! runtime.
//!
//! ```
//! use tower_otel_prometheus::Prometheus;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Install the recorder before the first metric is recorded.
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
//! Native histograms and exemplars are off. The name of a histogram selects its bucket boundaries, in the unit of its
//! samples. The first matching row applies:
//!
//! | histogram | bucket boundaries |
//! |---|---|
//! | has boundaries set with [`PrometheusBuilder::buckets`] | those boundaries |
//! | is named `*_seconds` | [`DURATION_BOUNDARIES`], the recommendation of the semantic conventions: 0.005 to 10 seconds |
//! | is named `*_bytes` | [`BODY_SIZE_BOUNDARIES`], powers of ten from 100 bytes to 100 megabytes |
//! | has another name | the defaults of the OpenTelemetry SDKs, 0 to 10000 |
//!
//! [`PrometheusBuilder::series_buckets`] adds boundaries to the series with a given label.
//!
//! Names are rendered as recorded. Characters that Prometheus does not allow become `_`. Neither a unit nor `_total` is
//! appended.
//!
//! # Formats
//!
//! [`MetricsService`] responds in OpenMetrics 1.0, in protobuf or in the text format, as `Accept` prefers. Protobuf requires
//! the option [`PrometheusBuilder::native_histograms`]. Samples have the same names and values in all formats. A metric
//! without a description has the help text `Not described.`
//!
//! [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/) differs from the text format in these cases:
//!
//! - A counter has the type `unknown` if its name does not end in `_total`, or if it is named `NAME_total` and another metric
//!   uses `NAME` or `NAME_created`.
//! - Integral bucket boundaries have a fraction: `1.0` instead of `1`.
//! - A histogram with a negative boundary, or with a negative or NaN sum, has neither `_sum` nor `_count`.
//!
//! # Native histograms
//!
//! With [`PrometheusBuilder::native_histograms`] every histogram also has
//! [exponential buckets](https://prometheus.io/docs/specs/native_histograms/). Only the protobuf format contains them. A
//! `MetricFamily` message has at most 8 series of a histogram, or 64 series of another metric. A metric with more series is
//! sent in several messages.
//!
//! | Prometheus version | setting to scrape native histograms |
//! |---|---|
//! | 3.8 and later | `scrape_native_histograms: true` in `global` or in the scrape configuration |
//! | 2.40 to 3.8 | `--enable-feature=native-histograms`, which has no effect from 3.9 on |
//!
//! # Exemplars
//!
//! With `PrometheusBuilder::exemplars` (feature `opentelemetry`), each bucket has the trace id and the span id of a sample that
//! was recorded inside a sampled span. Requests whose trace is kept by the keep rules of `tower-otel-recorder` also get
//! exemplars if [`observe((TraceLayer, MetricsLayer))`][kept] records them.
//!
//! # What is exact
//!
//! Every value recorded before a render is counted in it exactly once, even if other threads record during it. `_count` equals
//! the `+Inf` bucket. `_sum` is read separately: it can differ from the buckets by the samples recorded during the render. A
//! series created during a render may be missing from it; the next render has it. A NaN sample is dropped. An infinite sample is
//! counted in the first or the `+Inf` bucket and is not added to the sum.
//!
//! Each thread records values of its own, and a render adds them up. A render counts a request that increments a gauge on one thread
//! and decrements it on another only if it was in flight at some time of the render. If `set` of a gauge or `absolute` of a counter
//! runs at the same time as another change, the change is before or after it. A gauge that is set to a fraction after it was
//! incremented can differ from the fraction by 10⁻¹⁵ of the sum of the increments.
//!
//! Do not record in a global allocator or in a signal handler: the first sample of a thread allocates, so it would wait for
//! itself, and a signal can interrupt a sample, which is then lost.
//!
//! | recorded | rendered |
//! |---|---|
//! | keys that are equal when rendered, such as the labels `a.b` and `a-b` | one series with the values of both |
//! | one name for two kinds of metric | the kind that was recorded first; the other is not recorded, and a warning is logged once per name |
//! | a histogram `NAME` and another metric `NAME_bucket`, `NAME_count`, `NAME_created` or `NAME_sum` | the metric that was recorded first; the other is not recorded, and a warning is logged once per name |
//! | labels | sorted by name; labels with an empty value are omitted |
//! | a label `__name__`; a label `le` of a histogram | `exported___name__`; `exported_le` |
//!
//! # Bounds
//!
//! | limit of | value | beyond it |
//! |---|---|---|
//! | label value | 256 bytes | the value is cut and ends with `…`; series that become equal are merged |
//! | name of a metric or label | 256 bytes | the name is cut; metrics that become equal are merged |
//! | labels of a series | 64 | further labels are omitted |
//! | memory of all series | about 128 MiB | new label values are recorded in `NAME{otel_metric_overflow="true"}`: the total of a counter, the last value of a gauge; metrics with new names are not recorded |
//! | memory of the threads' own values | 32 MiB, and 128 threads at a time | other threads share values; nothing is lost, but recording can take longer |
//! | names, of which a histogram uses five | 10,000 | metrics with new names are not recorded |
//!
//! For the limits of all series and of names, a warning is logged once when they are reached. The other limits are applied
//! without a warning.
//!
//! # Not included
//!
//! - Summaries: their quantiles cannot be aggregated over several processes.
//! - Removal of idle metrics (`idle_timeout`): a cached handle would continue to record into a metric
//!   that is no longer rendered.
//! - Compression: wrap the service in the [compression layer](MetricsService#compression) of `tower-http`.
//!
//! # Features
//!
//! | feature | default | enables |
//! |---|---|---|
//! | `opentelemetry` | no | `PrometheusBuilder::exemplars`, which reads the current OpenTelemetry span |
//!
//! [kept]: https://docs.rs/tower-otel-metrics/latest/tower_otel_metrics/#exemplars
//! [`DURATION_BOUNDARIES`]: tower_otel_semconv::metric::DURATION_BOUNDARIES
//! [`BODY_SIZE_BOUNDARIES`]: tower_otel_semconv::metric::BODY_SIZE_BOUNDARIES

#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod buckets;
mod budget;
mod builder;
mod cells;
mod counter;
#[cfg(feature = "opentelemetry")]
mod current_span;
mod error;
mod exemplar;
mod format;
mod gauge;
mod histogram;
mod indices;
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
mod thread_index;
mod unit;

pub use builder::PrometheusBuilder;
pub use error::InstallError;
pub use prometheus::Prometheus;
pub use service::MetricsService;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
