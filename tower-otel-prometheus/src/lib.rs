//! Prometheus: the recorder, its upkeep and the `/metrics` service, without an async runtime.
//!
//! ```
//! use tower_otel_prometheus::Prometheus;
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
//!   is no advice. [`PrometheusBuilder::buckets`] gives a name its own. Any other histogram is rendered as the
//!   exporter's summary, whose quantiles cannot be added up over several processes: give it buckets.
//! * **Names.** They are rendered as they were recorded, apart from characters Prometheus does not
//!   know, which become `_`. No unit and no `_total` is appended.
//! * **Upkeep.** The exporter keeps every sample of a summary until somebody renders, 16 bytes each:
//!   a service that nobody scrapes grows until it dies. A thread of its own sorts them every five
//!   seconds, see [`PrometheusBuilder::upkeep`].
//!
//! # Native histograms
//!
//! [`PrometheusBuilder::native_histograms`] counts every histogram with buckets in
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
//! series has gathered since the drain before (metrics-util 0.20.4). A short [`PrometheusBuilder::upkeep`]
//! makes such a loss smaller and likelier; buckets make it impossible.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod buckets;
mod builder;
mod error;
mod families;
mod histogram;
mod native;
mod prometheus;
mod protobuf;
mod recorder;
mod registry;
mod service;
mod sync;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod upkeep;

pub use builder::PrometheusBuilder;
pub use error::InstallError;
pub use prometheus::Prometheus;
pub use recorder::Recorder;
pub use service::{MetricsBody, MetricsService};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
