//! Starts traces, metrics and logs for a service, and exports pending telemetry when the service stops. The crate
//! re-exports the layers that record HTTP exchanges, so an application needs only this dependency.
//!
//! # A complete server
//!
//! With `tower-otel-init = { version = "0.1", features = ["axum"] }`:
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tower_otel_init::{MetricsLayer, Telemetry, TraceLayer, observe, shutdown_signal};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Telemetry stops when this is dropped.
//!     let telemetry = Telemetry::from_env("users")?;
//!     let mut app = Router::new()
//!         .route("/users/{id}", get(|| async { "hello" }))
//!         .layer(observe((TraceLayer::server(), MetricsLayer::server())));
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
//! [`init_telemetry`] sets the service name and the collector endpoint in code. [`Telemetry::builder`] returns a builder
//! for all settings. [`TelemetryBuilder`] lists the defaults and the variables of its methods; the README lists all
//! variables. Settings in code take precedence over variables.
//!
//! # A complete client
//!
//! With the feature `reqwest-middleware`:
//!
//! ```no_run
//! use reqwest_middleware::ClientBuilder;
//! use tower_otel_init::{MetricsLayer, PropagateLayer, Telemetry, TraceLayer, observe};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let _telemetry = Telemetry::from_env("report")?;
//!     let layers = (TraceLayer::client(), MetricsLayer::client(), PropagateLayer::new());
//!     let client = ClientBuilder::new(reqwest::Client::new())
//!         .with(observe(layers).into_middleware())
//!         .build();
//!
//!     let response = client.get("http://127.0.0.1:3000/users/7").send().await?;
//!     println!("{}", response.text().await?);
//!     Ok(())
//! }
//! ```
//!
//! With the feature `reqwest`, a `reqwest::Client` with layers is a tower service, and
//! [`send_with`](RequestBuilderExt::send_with) sends a request of reqwest's builder through it. The client implements `Clone`,
//! and its type can be written, so it can be a field of the application's state:
//!
//! ```no_run
//! use axum::extract::State;
//! use tower::Layer;
//! use tower_otel_init::{
//!     MetricsLayer, Observed, PropagateLayer, RequestBuilderExt, TraceLayer, observe,
//! };
//!
//! #[derive(Clone)]
//! struct App {
//!     http: reqwest::Client,
//!     users: Observed<reqwest::Client, (TraceLayer, MetricsLayer, PropagateLayer)>,
//! }
//!
//! fn app() -> App {
//!     let http = reqwest::Client::new();
//!     let layers = (TraceLayer::client(), MetricsLayer::client(), PropagateLayer::new());
//!     App { users: observe(layers).layer(http.clone()), http }
//! }
//!
//! async fn user(State(app): State<App>) -> Result<String, String> {
//!     let request = app.http.get("http://127.0.0.1:3000/users/7");
//!     let response = request.send_with(app.users).await.map_err(|_| "no response")?;
//!     response.text().await.map_err(|_| "no body".to_owned())
//! }
//! ```
//!
//! # The layers
//!
//! | layer | documentation of its crate |
//! |---|---|
//! | [`TraceLayer`]: server and client spans | [`tower_otel_trace`] |
//! | [`MetricsLayer`]: request counts, durations, requests in flight | [`tower_otel_metrics`] |
//! | [`PropagateLayer`]: `traceparent` of requests that a client sends | [`tower_otel_propagate`] |
//! | [`RouteLayer`]: the route of a request in a nested axum service | [`tower_otel_core`] |
//!
//! [`observe`] joins layers into one, which reads each request once. [`HttpOptions`] has the options
//! that layers share: filter, route, known methods, trusted proxies and scheme.
//!
//! # What is started
//!
//! | signal | default destination | other destinations |
//! |---|---|---|
//! | spans of `tracing` and of the OpenTelemetry API | a collector, by OTLP over gRPC or HTTP | the standard output as a tree, or none |
//! | metrics of the `metrics` facade | the Prometheus service of [`Telemetry`] | the standard output, also a collector, or none |
//! | metrics of [`Telemetry::meter_provider`] | none | a collector, by OTLP |
//! | log lines of `tracing` and of `log` | the standard output, with `trace_id` and `span_id` | also a collector, by OTLP (feature `logs`) |
//!
//! One [`tower_otel_recorder::Recorder`] records all spans. Its `tracing` layer records `tracing` spans of level `INFO` and
//! above, including the spans of [`TraceLayer`] and `#[instrument]`. [`Telemetry::tracer_provider`], the global tracer
//! provider, records spans of the OpenTelemetry API. Without an exporter (`OTEL_TRACES_EXPORTER=none`), spans still have ids,
//! which log lines show and clients send. With `OTEL_SDK_DISABLED=true`, clients send the received trace context unchanged.
//!
//! The global propagator is W3C Trace Context, level 2, with baggage. `OTEL_PROPAGATORS` selects another one. The layers of
//! this suite do not use the global propagator by default: they use W3C Trace Context. `.propagator(Propagation::global())`
//! selects the global one.
//!
//! # Metrics to a collector and `/metrics` at once
//!
//! With `OTEL_METRICS_EXPORTER=otlp,prometheus`, the metrics of `/metrics` are also pushed to the collector: once per
//! `OTEL_METRIC_EXPORT_INTERVAL` (default: 60 seconds), and by [`Telemetry::flush`] and [`Telemetry::shutdown`]. Each sample is
//! recorded once, in the recorder of the `metrics` facade, so the layers need no second backend. With `otlp,console`, the metrics
//! that the console shows are pushed in the same way.
//!
//! | `/metrics` | OTLP |
//! |---|---|
//! | name, labels, `HELP` | the same name; attributes with string values; description |
//! | a name that ends with a unit, also before `_total`: `_seconds`, `_bytes`, `_ratio` or another | the unit `s`, `By`, `1` or another |
//! | counter | monotonic sum of integers, cumulative since the start |
//! | gauge | gauge |
//! | histogram | histogram with the same boundaries, cumulative since the start |
//! | native histograms, exemplars | not pushed |
//!
//! The [specification](https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/) defines this
//! translation. The temporality is cumulative. `OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE` applies only to metrics of
//! meters, which are pushed in separate requests and are not in `/metrics`. Metrics about telemetry and the process have the
//! names of `/metrics`. A push is split into requests of about a megabyte, and takes at most `OTEL_EXPORTER_OTLP_TIMEOUT` in all.
//! A failed push is not repeated, because the next push includes its totals. Only the last push, at the shutdown, is repeated
//! once if it fails. The push runs on a separate thread, which renders the metrics in about two microseconds per series of a
//! histogram. It renders each request after it has sent the previous one, so that not all metrics are in memory at the same time.
//!
//! With `OTEL_METRICS_EXPORTER=otlp` alone, no recorder of the `metrics` facade is installed, and only metrics of meters are
//! pushed. Configure the layers with `.meter_provider(..)` then.
//!
//! # With an existing subscriber
//!
//! [`TelemetryBuilder::install`], [`Telemetry::from_env`] and [`init_telemetry`] install a `tracing`
//! subscriber. They return an error if the process already has one. [`TelemetryBuilder::layers`] returns
//! layers for the application's own subscriber instead. The application then writes log lines itself.
//!
//! # Which traces are exported
//!
//! By default, a tenth of the traces without a parent is sampled, and traces with a parent in another process follow the
//! decision of the parent. With the console exporter or the page, all traces are sampled. `OTEL_TRACES_SAMPLER` sets another
//! sampler.
//!
//! An unsampled trace is exported nevertheless if its local root, the span without a parent in this process, fails or takes
//! longer than a second, or if the trace is marked with [`keep_trace`]: up to 100 traces a second (`TRACES_KEEP`). Its spans
//! have the attribute `sampling.keep.reason`; omit them when you [estimate](tower_otel_recorder::RecorderBuilder::keep) the
//! number of all requests. The sampled flag that is sent to other processes stays unset, so they export their spans of the
//! trace only by their own rules.
//!
//! # Shutdown
//!
//! [`Telemetry::shutdown`] exports everything recorded so far, within a timeout. Dropping [`Telemetry`]
//! does the same with a timeout of five seconds. Exports run on threads with their own runtimes, so
//! waiting for them cannot deadlock, on any kind of tokio runtime or without one.
//!
//! On a serverless platform, the process is frozen between calls: call [`Telemetry::flush`] at the end of each call.
//!
//! [`shutdown_signal`] waits for `SIGTERM` or Ctrl-C. Its documentation shows how to limit the wait for open streams. A second
//! signal ends the process immediately. If the process is killed or calls [`std::process::exit`], spans that are not exported yet
//! are lost.
//!
//! The task of a response stream can outlive the server's future. To export its span, start telemetry before the runtime, and
//! drop the runtime before [`Telemetry`].
//!
//! # When the collector fails
//!
//! | collector | effect |
//! |---|---|
//! | unreachable, or asks to retry | each batch is retried until `OTEL_EXPORTER_OTLP_TIMEOUT`, then dropped; a flush or a shutdown tries an unreachable collector once |
//! | slow or unresponsive | an export fails after `OTEL_EXPORTER_OTLP_TIMEOUT`; spans wait in a bounded queue |
//! | returns another error | the batch is dropped |
//! | refuses a batch for its size | the batch is split; a single span that is refused is dropped |
//! | works again | the next batch is delivered |
//!
//! Requests are never delayed. Every span that is not delivered is counted in [`Telemetry::dropped_spans`] and in
//! [metrics of the conventions](https://opentelemetry.io/docs/specs/semconv/otel/sdk-metrics/):
//!
//! | [`DropCounts`] | metric, by its Prometheus name | `error_type` | cause |
//! |---|---|---|---|
//! | `queue_full` | `otel_sdk_processor_span_processed_total` | `queue_full` | the queue was full |
//! | `shutdown` | `otel_sdk_processor_span_processed_total` | `already_shutdown` | the shutdown timed out before the export, or the span ended after it |
//! | `export_failed` | `otel_sdk_exporter_span_exported_total` | `export_failed` | the export failed, or was not finished when the shutdown timed out |
//! | `rejected` | `otel_sdk_exporter_span_exported_total` | `rejected` | the collector accepted the batch without the span (`partial_success`) |
//!
//! [`DropCounts`] does not count spans of unsampled traces. If a limit prevents a [keep rule](tower_otel_recorder::Keep) from
//! exporting such spans, `otel_sdk_processor_span_processed_total` counts them with one of these values of `error_type`:
//!
//! | `error_type` | cause |
//! |---|---|
//! | `not_held` | the memory for spans that wait for the end of their local root was full: 512 KiB per trace, 16 MiB in all |
//! | `keep_limited` | more traces than `per_second` of `TRACES_KEEP` matched the keep rules in a second |
//!
//! Series without `error_type` count successes: `otel_sdk_processor_span_processed_total` counts the spans that were given to the
//! exporter, and `otel_sdk_exporter_span_exported_total` the delivered spans. The gauge `otel_sdk_processor_span_queue_size` is
//! the number of spans in the queue, and `otel_sdk_exporter_span_inflight` the number of spans in an export.
//! [`Telemetry::prometheus`] and [`Telemetry::meter_provider`] report current values. Another recorder of the `metrics` facade
//! gets the values at the start, at each flush and at the shutdown. [Local](TelemetryBuilder::local) telemetry reports them only
//! through [`Telemetry::meter_provider`].
//!
//! A warning is logged when exports start to fail and when they work again. Log records for a collector are counted in
//! [`Telemetry::dropped_log_records`] and in metrics with `log` in place of `span` in their names. These metrics are
//! cumulative, so a failed push loses no counts.
//!
//! No warning, error or debug text shows a header, or the credentials, path or query of an endpoint.
//!
//! # Process and runtime
//!
//! With the feature `process`, these metrics are read at each scrape or push:
//!
//! | Prometheus | OTLP |
//! |---|---|
//! | `process_cpu_seconds_total` | `process.cpu.time`, of all modes together |
//! | `process_resident_memory_bytes`, `process_virtual_memory_bytes` | `process.memory.usage`, `process.memory.virtual` |
//! | `process_open_fds`, `process_max_fds` | `process.unix.file_descriptor.count` |
//! | `process_threads`, `process_start_time_seconds` | `process.thread.count` |
//! | `tokio_workers`, `tokio_live_tasks`, `tokio_global_queue_depth` | `tokio.workers`, `tokio.live_tasks`, `tokio.global_queue.depth` |
//! | `tokio_busy_seconds_total` | `tokio.busy.time` |
//!
//! The `tokio_*` metrics describe the runtime in which telemetry starts. If it starts outside of a runtime, they describe the
//! runtime that first renders the metrics. The queue depths of single workers are not read, because they need `tokio_unstable`.
//! Counters of seconds are integers in Prometheus, because the counters of the `metrics` facade are integers. The feature
//! supports Linux, macOS, Windows, FreeBSD and OpenBSD.
//!
//! # Features
//!
//! | feature | default | enables |
//! |---|---|---|
//! | `grpc` | yes | OTLP over gRPC |
//! | `http` | yes | OTLP over HTTP |
//! | `prometheus` | yes | the Prometheus recorder, and metrics on the console |
//! | `logs` | | OTLP log records |
//! | `page` | | `control`, `prometheus`, and a [page](TelemetryBuilder::page) that shows requests and traces, also as a [service](Telemetry::page_service) |
//! | `process` | | metrics of the process and of its tokio runtime, see [above](#process-and-runtime) |
//! | `control` | | [`Telemetry::control_service`](Telemetry), which changes settings over HTTP |
//! | `tls` | | `https://` endpoints, with the root certificates of the platform or of `OTEL_EXPORTER_OTLP_CERTIFICATE` |
//! | `b3`, `xray` | | the propagators of B3 and of AWS X-Ray, for `OTEL_PROPAGATORS` |
//! | `axum` | | the matched route of axum |
//! | `connect-info` | | `axum`, and the address of the peer |
//! | `hyper-util` | | the errors and the peer address of hyper-util's client |
//! | `reqwest` | | the layers around a `reqwest::Client`, and [`RequestBuilderExt`] |
//! | `reqwest-middleware` | | `reqwest`, and `into_middleware()` |
//! | `tonic` | | tonic's errors and peer addresses |
//! | `tower` | | the errors of tower's timeout and load shedding |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch_config;
mod builder;
mod certificate;
mod config;
mod config_warning;
mod console_traces;
mod control;
#[cfg(feature = "control")]
mod control_service;
#[cfg(feature = "control")]
mod control_state;
mod current_context;
mod disabled_subscriber;
mod discarding_exporter;
#[cfg(feature = "logs")]
mod drop_counter;
mod drop_counts;
mod endpoint;
mod endpoint_health;
mod env;
mod error;
#[cfg(feature = "logs")]
mod export_monitor;
mod export_runtime;
mod exporter_config;
mod exporter_state;
#[cfg(feature = "prometheus")]
mod facade_metrics;
mod filtered_logs;
#[cfg(any(feature = "b3", feature = "xray"))]
mod flag_normalizer;
mod flush;
mod fork;
mod install;
mod item_counts;
mod json_fields;
mod json_text;
mod keep_rules;
mod key_value_list;
mod layers;
mod line_buffer;
mod live_log_filter;
mod log_filter;
#[cfg(feature = "logs")]
mod log_limits;
mod log_lines;
#[cfg(feature = "logs")]
mod log_pipeline;
#[cfg(feature = "control")]
mod loopback_origin;
#[cfg(feature = "process")]
mod measurement;
mod metric_pipeline;
#[cfg(feature = "prometheus")]
#[cfg_attr(
    not(any(feature = "grpc", feature = "http")),
    allow(
        unreachable_code,
        unused_variables,
        reason = "without a protocol there is no sender"
    )
)]
mod metric_sender;
mod metrics_config;
mod metrics_exporters;
#[cfg(feature = "prometheus")]
mod metrics_printer;
#[cfg(feature = "prometheus")]
#[cfg_attr(
    not(any(feature = "grpc", feature = "http")),
    allow(
        unreachable_code,
        unused_variables,
        reason = "without a protocol there is no sender"
    )
)]
mod metrics_pusher;
mod open_traces;
mod options;
mod otlp_config;
mod otlp_exporter;
#[cfg(feature = "grpc")]
mod otlp_grpc;
mod otlp_headers;
#[cfg(feature = "http")]
mod otlp_http;
#[cfg(all(feature = "http", feature = "prometheus"))]
mod otlp_http_metrics;
#[cfg(any(feature = "grpc", feature = "http"))]
mod otlp_span_exporter;
mod overridden_variables;
#[cfg(feature = "page")]
mod page;
#[cfg(not(feature = "page"))]
mod page {
    pub(crate) mod address;
}
#[cfg(feature = "page")]
mod page_start;
mod partial_success;
mod pretty_lines;
#[cfg(feature = "process")]
mod process_metrics;
mod propagation;
mod rate_limit;
mod resource;
mod root_sampler;
mod running_telemetry;
#[cfg(feature = "prometheus")]
mod sample;
mod sampler;
mod sampling_rule;
mod sampling_text;
mod sdk_instruments;
mod sdk_metrics;
mod secrets;
mod settings;
mod shutdown;
mod shutdown_progress;
mod shutdown_signal;
mod span_details;
mod span_limits;
mod span_recorder;
mod start;
mod summary;
mod telemetry;
mod terminal;
#[cfg(test)]
mod test_output;
mod trace_tree;
mod unsampled_roots;
mod unwind;
mod userinfo;
mod variable;

pub use builder::TelemetryBuilder;
pub use control::Control;
pub use drop_counts::DropCounts;
pub use error::InitError;
pub use install::init_telemetry;
pub use layers::Layers;
pub use options::{MetricsExporter, Protocol, TracesExporter};
pub use sampler::Sampler;
pub use shutdown::ShutdownError;
pub use shutdown_signal::shutdown_signal;
pub use telemetry::Telemetry;

#[cfg(feature = "reqwest")]
#[doc(inline)]
pub use tower_otel_core::RequestBuilderExt;
#[doc(inline)]
pub use tower_otel_core::{
    Attempts, Filter, Hosts, HttpOptions, LocalAddr, LongLived, Observed, PeerAddr, RequestHead,
    ResponseHead, Route, RouteLayer, RouteSlot, observe,
};
#[doc(inline)]
pub use tower_otel_metrics::{MetricsLayer, Names};
#[cfg(feature = "prometheus")]
#[doc(inline)]
pub use tower_otel_prometheus::{Prometheus, PrometheusBuilder};
#[doc(inline)]
pub use tower_otel_propagate::{
    BaggagePolicy, NoPropagation, PropagateLayer, Propagation, RemoteParent, WithContext,
    context_from_map, context_to_map, in_current_context,
};
#[doc(inline)]
pub use tower_otel_recorder::keep_trace;
#[doc(inline)]
pub use tower_otel_semconv::{ForwardedHeaders, KnownMethods, SensitiveKeys, TrustedProxies};
#[doc(inline)]
pub use tower_otel_trace::{OptIn, SpanHandle, TraceLayer};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
