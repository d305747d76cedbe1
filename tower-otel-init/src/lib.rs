//! Traces, metrics and logs of a service, started in one line and delivered to the last span.
//!
//! # A whole server
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tower::ServiceBuilder;
//! use tower_otel_init::{Telemetry, shutdown_signal};
//! use tower_otel_metrics::MetricsLayer;
//! use tower_otel_trace::TraceLayer;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Before the first request, and kept until the end.
//!     let telemetry = Telemetry::from_env("users")?;
//!     let mut app = Router::new()
//!         .route("/users/{id}", get(|| async { "hello" }))
//!         .layer(
//!             ServiceBuilder::new()
//!                 .layer(TraceLayer::server())
//!                 .layer(MetricsLayer::server()),
//!         );
//! #   #[cfg(feature = "prometheus")]
//!     if let Some(prometheus) = telemetry.prometheus() {
//!         app = app.route_service("/metrics", prometheus.service());
//!     }
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     axum::serve(listener, app)
//!         .with_graceful_shutdown(shutdown_signal())
//!         .await?;
//!     Ok(())
//! }
//! ```
//!
//! [`init_telemetry`] is the same with the name and the collector told by the code,
//! [`Telemetry::builder`] with everything. The variables and their defaults are a table in the
//! README; what the code says goes over them.
//!
//! # What is started
//!
//! | signal | where it goes | else |
//! |---|---|---|
//! | spans, of `tracing` and of OpenTelemetry | to a collector by OTLP, over gRPC or HTTP | to the standard output as a tree, or nowhere |
//! | metrics of the `metrics` facade | to whoever asks [`Telemetry`] for its Prometheus service | to the standard output |
//! | metrics of [`Telemetry::meter_provider`] | | to a collector by OTLP |
//! | log lines, of `tracing` and of `log` | to the standard output, with `trace_id` and `span_id` | and to a collector by OTLP (feature `logs`) |
//!
//! The global propagator is W3C Trace Context, level 2, with baggage, unless `OTEL_PROPAGATORS` says
//! otherwise. The layers speak W3C without asking for it; `.propagator(Propagation::global())` makes
//! them ask.
//!
//! # Beside a subscriber
//!
//! [`Builder::install`], and with it [`Telemetry::from_env`] and [`init_telemetry`], install a
//! `tracing` subscriber, and say so in an error where there is one. [`Builder::layers`] returns the
//! layers instead; log lines are then the application's own.
//!
//! # When it stops
//!
//! When [`Telemetry`] is dropped or [`Telemetry::shutdown`] is called, what has been recorded is
//! sent, for a time that is limited. Everything is sent on a thread with a runtime of its own, so
//! waiting for it cannot be a deadlock: not on tokio's current-thread runtime, not without any.
//! [`shutdown_signal`] waits for `SIGTERM`. A process that is killed or that calls
//! [`std::process::exit`] loses what it had not sent.
//!
//! What has ended by then is sent. A stream that its client has left ends in a task of its own, which
//! may be after the server's future: where such a last span counts, install before the runtime is
//! built, and drop the runtime first.
//!
//! # When the collector does not answer
//!
//! | what happens | what is done |
//! |---|---|
//! | it is not there, at the start or later | exports are tried anew with each batch; requests do not notice |
//! | it is slow, or hangs | an export ends after `OTEL_EXPORTER_OTLP_TIMEOUT`; meanwhile spans wait in a queue of constant size |
//! | it says no | the batch is lost |
//! | it is back | the next batch arrives |
//!
//! Every span that does not arrive is counted, in [`Telemetry::dropped_spans`] and in the counter
//! `otel_spans_dropped_total` with its `reason`: `queue_full`, `export_failed`, `rejected` (out of a
//! batch that was taken otherwise, `partial_success`) or `shutdown`. There is one warning for each
//! change, and not one for each batch. A span in a batch that a collector took without saying so in
//! time counts as lost. Log records that go to a collector are counted in the same way, in
//! [`Telemetry::dropped_log_records`] and in `otel_log_records_dropped_total`. Metrics are sent anew
//! with the next push.
//!
//! # Features
//!
//! | feature | default | what it has |
//! |---|---|---|
//! | `grpc` | yes | OTLP over gRPC |
//! | `http` | yes | OTLP over HTTP |
//! | `prometheus` | yes | the Prometheus recorder, and metrics on the console |
//! | `logs` | | OTLP log records |
//! | `tls` | | collectors at `https://`, with the platform's roots |
//! | `b3`, `xray` | | these propagators, for `OTEL_PROPAGATORS` |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod builder;
mod choice;
mod collector;
mod config;
mod console;
mod env;
mod error;
mod exports;
#[cfg(any(feature = "b3", feature = "xray"))]
mod foreign;
mod guard;
mod install;
mod lines;
mod link;
mod metrics;
mod otlp;
mod propagation;
#[cfg(feature = "logs")]
mod records;
mod rejections;
mod resource;
mod sampler;
mod signal;
mod spans;
mod start;
mod style;
mod tally;
mod tree;

pub use builder::Builder;
pub use choice::{LogFormat, LogsExporter, MetricsExporter, Protocol, TracesExporter};
pub(crate) use config::Settings;
pub use env::Warning;
pub use error::InitError;
pub use guard::{Telemetry, Unfinished};
pub use install::Layers;
pub use sampler::Sampler;
pub use signal::shutdown_signal;
pub use tally::Dropped;

/// Starts traces, metrics and log lines of a service, and sends what is to be sent to this
/// collector, over gRPC unless `OTEL_EXPORTER_OTLP_PROTOCOL` says otherwise. All else is as
/// [`Telemetry::from_env`].
///
/// # Errors
///
/// As [`Telemetry::from_env`], and if the endpoint is no URL.
pub fn init_telemetry(service_name: &str, otlp_endpoint: &str) -> Result<Telemetry, InitError> {
    Telemetry::builder(service_name)
        .service_name(service_name)
        .endpoint(otlp_endpoint)
        .install()
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
