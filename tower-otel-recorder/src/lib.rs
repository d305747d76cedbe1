//! Records the spans of `tracing` and of the OpenTelemetry API as compact records and exports them on one thread.
//!
//! A [`Recorder`] replaces the tracer provider and the batch processor of opentelemetry_sdk, and tracing-opentelemetry. It
//! uses the SDK's samplers, id generators, limits and resources. It exports over OTLP (`OtlpExporter`, features `grpc` and
//! `http`) or with any exporter of the SDK. The application needs no async runtime, because the OTLP exporters have their own.
//!
//! ```
//! use std::time::Duration;
//!
//! use opentelemetry_sdk::{Resource, trace::SpanExporter};
//! use tower_otel_recorder::Recorder;
//!
//! # #[cfg(feature = "layer")]
//! fn run(exporter: impl SpanExporter + 'static) -> Result<(), Box<dyn std::error::Error>> {
//!     use tracing_subscriber::prelude::*;
//!
//!     let recorder = Recorder::builder(exporter)
//!         .resource(Resource::builder().with_service_name("shop").build())
//!         .build()?;
//!     tracing_subscriber::registry().with(recorder.layer()).init();
//!     opentelemetry::global::set_tracer_provider(recorder.tracer_provider());
//!
//!     tracing::info_span!("order", item = "tea").in_scope(|| tracing::info!("in stock"));
//!
//!     recorder.shutdown(Duration::from_secs(5))?;
//!     Ok(())
//! }
//! ```
//!
//! # Sources of spans
//!
//! | spans of | are recorded by |
//! |---|---|
//! | `tracing`, `#[instrument]` | `Recorder::layer` (feature `layer`, on by default) |
//! | the OpenTelemetry API | [`Recorder::tracer_provider`] |
//! | tower-otel-trace | its `tracing` spans through the layer, or `TraceLayer::server().recorder(&recorder)` |
//!
//! Spans of all three sources can be parents and children of each other.
//!
//! # What happens to a span
//!
//! | event | thread | action |
//! |---|---|---|
//! | start | caller | takes a record from the pool; writes ids, start time and attributes as bytes |
//! | end | caller | pushes the record to the buffer of this thread |
//! | export | export thread of the recorder | empties the buffers, encodes the records as OTLP or `SpanData`, returns them to the pool, exports |
//!
//! Records are reused with their allocated buffers. In steady state a span allocates nothing for its attributes and `tracing`
//! events. The buffers of all threads together have at most [`queue_size`](RecorderBuilder::queue_size) spans. A span that does not
//! fit is dropped and counted in [`SpanCounts::dropped`]. The caller never waits.
//!
//! # Keep rules
//!
//! A sampler decides when a trace starts, so a ratio of 0.1 loses nine of ten failures. With
//! [`keep`](RecorderBuilder::keep), the spans of an unsampled trace wait in memory until its local root ends: the span without a
//! parent in this process. They are exported if the root failed, was slow or was [marked](keep_trace):
//!
//! ```
//! # use opentelemetry_sdk::trace::{Sampler, SpanExporter};
//! # use tower_otel_recorder::{Keep, Recorder};
//! # use std::time::Duration;
//! # fn start(exporter: impl SpanExporter + 'static) -> std::io::Result<Recorder> {
//! let tenth = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(0.1)));
//! let recorder = Recorder::builder(exporter)
//!     .sampler_without_attributes(tenth)
//!     .keep(Keep::errors().slower_than(Duration::from_secs(1)).per_second(100))
//!     .build()?;
//! # Ok(recorder)
//! # }
//! ```
//!
//! Each process decides for its own spans. The `traceparent` that it sends has no sampled flag, so the servers that it calls
//! apply their own rules. To keep all spans of a trace in which any process fails, sample everything and use
//! [tail sampling](https://opentelemetry.io/docs/concepts/sampling/#tail-sampling) in a collector.
//!
//! # Limits
//!
//! | limit | default | option | beyond it |
//! |---|---|---|---|
//! | characters of an attribute value | 4096 | [`text_length`](RecorderBuilder::text_length) | the text is cut |
//! | characters of a name or a status description | 4096 | | the text is cut |
//! | attributes, events and links of a span | 128 of each | [`limits`](RecorderBuilder::limits) | dropped, counted in the span |
//! | bytes of a span's texts, events and links | 64 KiB | [`record_bytes`](RecorderBuilder::record_bytes) | dropped, counted in the span |
//! | spans of an export | 512 | [`batch_size`](RecorderBuilder::batch_size) | several exports |
//! | bytes of an export | 2 MiB | [`batch_bytes`](RecorderBuilder::batch_bytes) | several exports |
//! | ended spans that wait for export | 2048 | [`queue_size`](RecorderBuilder::queue_size) | dropped, counted in [`queue_full`](SpanCounts::queue_full) |
//! | bytes of these spans | 16 MiB | [`queue_bytes`](RecorderBuilder::queue_bytes) | dropped, counted in [`queue_bytes_full`](SpanCounts::queue_bytes_full) |
//! | bytes of unsampled spans that wait for the end of their local root | 512 KiB per trace, 16 MiB in all | | not recorded, counted in [`not_held`](SpanCounts::not_held) |
//! | traces kept per second | 100 | [`Keep::per_second`] | discarded, counted in [`keep_limited`](SpanCounts::keep_limited) |
//!
//! Formatting a value with `Debug` or `Display` stops with an error at the limit, so a long text is never allocated in full. The
//! bytes of an export and of the queue are the bytes that the records have allocated.
//!
//! The number of open spans is not limited. Changes to an open span through its OpenTelemetry context have a separate limit of the
//! same size as [`record_bytes`](RecorderBuilder::record_bytes).
//!
//! # Environment variables
//!
//! The recorder reads the variables of the default [resource](RecorderBuilder::resource). `OtlpExporter::http` connects through
//! the proxy in `HTTP_PROXY`, `HTTPS_PROXY` or `ALL_PROXY`, except to the hosts in `NO_PROXY`. For `https://` endpoints, the TLS
//! library reads `SSL_CERT_FILE` on Linux. `tower-otel-init` reads the `OTEL_*` variables.
//!
//! # Features
//!
//! | feature | default | enables |
//! |---|---|---|
//! | `layer` | yes | `Recorder::layer`; depends on the registry of tracing-subscriber |
//! | `grpc` | | `OtlpExporter::grpc`; depends on tonic and tokio |
//! | `http` | | `OtlpExporter::http`; depends on reqwest and tokio |
//! | `tls` | | `https://` endpoints, other CA certificates, and client certificates |

// Without the feature `layer`, some items are unused.
#![cfg_attr(not(feature = "layer"), allow(dead_code))]

mod active;
mod allowance;
mod amount;
mod api_span;
mod base_context;
mod budget;
mod buffer;
mod builder;
mod changes;
mod clock;
mod context_span;
mod control;
mod counts;
mod current_context;
mod decision_rule;
mod drained;
mod encoding;
mod events;
mod export;
mod export_log;
mod export_report;
mod exporter;
mod extras;
mod keep;
mod key_values;
mod keys;
#[cfg(feature = "layer")]
mod layer;
mod limits;
mod message;
mod origin;
#[cfg(any(feature = "grpc", feature = "http"))]
mod otlp;
mod pipeline;
mod progress;
mod provider;
mod queue;
mod record;
mod recorder;
mod sampler;
mod sampling;
mod scope;
mod shards;
mod shared;
mod start;
mod sync;
mod tap;
mod template;
mod text_writer;
mod texts;
mod thread_index;
mod tracer;
mod worker;

pub use builder::RecorderBuilder;
pub use counts::SpanCounts;
pub use exporter::Exporter;
pub use keep::{Keep, keep_trace};
#[cfg(feature = "layer")]
pub use layer::{RecorderLayer, RecorderSpanExt, SetParentError};
#[cfg(any(feature = "grpc", feature = "http"))]
pub use otlp::OtlpExporter;
#[cfg(all(fuzzing, any(feature = "grpc", feature = "http")))]
pub use otlp::sample as otlp_sample;
pub use provider::RecorderTracerProvider;
pub use recorder::Recorder;
#[doc(hidden)]
pub use tracer::RecorderTracer;

#[doc(hidden)]
pub use active::ActiveSpan;
#[doc(hidden)]
pub use buffer::AttributeBuffer;
#[doc(hidden)]
pub use keep::is_kept;
#[doc(hidden)]
pub use record::SpanRecord;
#[doc(hidden)]
pub use start::{SpanStart, StartedSpan};

#[cfg(all(doctest, feature = "layer"))]
#[doc = include_str!("../README.md")]
struct Readme;
