//! A [tower] layer that records RED metrics of servers and clients: requests, errors, durations, and requests in flight.
//!
//! # A complete server
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tower_otel_metrics::MetricsLayer;
//! use tower_otel_prometheus::Prometheus;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Install the recorder before the first request.
//!     let prometheus = Prometheus::builder().install()?;
//!     let app = Router::new()
//!         .route("/users/{id}", get(|| async { "hello" }))
//!         .layer(MetricsLayer::server())
//!         .route_service("/metrics", prometheus.service());
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     axum::serve(listener, app).await?;
//!     Ok(())
//! }
//! ```
//!
//! # A complete client
//!
//! ```no_run
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_otel_metrics::MetricsLayer;
//! use tower_otel_prometheus::Prometheus;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let prometheus = Prometheus::builder().install()?;
//!     let mut client = ServiceBuilder::new()
//!         .layer(MetricsLayer::client())
//!         .service(reqwest::Client::new());
//!
//!     let url = "http://127.0.0.1:3000/users/7".parse()?;
//!     let request = reqwest::Request::new(reqwest::Method::GET, url);
//!     let response = client.ready().await?.call(request).await?;
//!     println!("{}\n{}", response.text().await?, prometheus.render());
//!     Ok(())
//! }
//! ```
//!
//! # What is recorded
//!
//! [`Names::Short`] lists the default names of the metrics and labels. [`Names::Conventions`] lists the names of the
//! semantic conventions.
//!
//! | label | value |
//! |---|---|
//! | `method` | a [known method](MetricsLayer::known_methods), or `_OTHER` |
//! | `path` | the matched route, or `unmatched`; never the path of the URL |
//! | `host` | host and port of the target of a client's request, else of its `Host` header; omitted if the request has neither |
//! | `status` | the status code, even if the body fails later; `cancelled`, `error` or `panic` without a response |
//!
//! A duration starts with the request and ends with the response body. Its unit is the second. Every exchange is counted
//! once and removed from the in-flight gauge, regardless of [how it ends](tower_otel_core#when-an-exchange-ends).
//! `http_responses_aborted_total` counts responses whose body failed, panicked or was dropped early.
//!
//! This query returns the ratio of failed requests:
//!
//! ```text
//!   ( sum(rate(http_requests_total{status=~"5..|error|panic|cancelled"}[5m]))
//!   + sum(rate(http_responses_aborted_total[5m])) )
//! / sum(rate(http_requests_total[5m]))
//! ```
//!
//! It counts an aborted `5xx` response twice. Most `cancelled` requests and aborted responses are caused by clients that
//! disconnect. Remove them from the query if they are not errors of your service.
//!
//! # Streams
//!
//! The gauge `http_streams_open{method}` counts open [long-lived streams](tower_otel_core#long-lived-streams)
//! and upgraded connections that [`LongLived::run`] observes. On a client it is `http_client_streams_open{host}`. The duration of
//! a stream ends at its response head. A stream is not aborted if its client disconnects.
//!
//! | response | set-up |
//! |---|---|
//! | server-sent events | none: the `Content-Type` is `text/event-stream` |
//! | other long-lived streams, such as the lines of a growing log | return the extension [`LongLived`] from the handler |
//! | WebSocket | return the extension, and [run](LongLived::run) the connection with a clone of it |
//! | downloads | with axum, use `nest("/files", Router::new().route_service("/{*file}", folder))`: the route is `/files/{*file}`. With `nest_service` it is `unmatched`, unless the service is a router with a [`RouteLayer`]. A download that a client stops is aborted |
//!
//! # gRPC
//!
//! By default a gRPC call is counted as an HTTP exchange. Its `status` is usually `200`, even if the call fails. With
//! [`grpc`](MetricsLayer::grpc), gRPC calls have separate metrics. A gRPC call is a `POST` with the `Content-Type`
//! `application/grpc`. On a server it must also use HTTP/2 or later, or have the header `te: trailers`. Other requests on the
//! same port are counted as HTTP. To count calls of gRPC-Web, put the layer inside `GrpcWebLayer` of `tonic-web`.
//!
//! | server | client |
//! |---|---|
//! | `grpc_requests_total{method,status}` | `grpc_client_requests_total{method,host,status}` |
//! | `grpc_request_duration_seconds{method}` | `grpc_client_request_duration_seconds{method,host}` |
//! | `grpc_requests_in_flight{method}` | `grpc_client_requests_in_flight{host}` |
//! | `grpc_streams_open{method}` | `grpc_client_streams_open{host}` |
//!
//! With [`Names::Conventions`], the histograms `rpc_server_call_duration_seconds` and
//! `rpc_client_call_duration_seconds` replace the first two. They have the labels
//! `rpc_system_name`, `rpc_method`, `rpc_status_code` and `error_type`, and on a client `server_address`
//! and `server_port`. The conventions define no gauges for calls, so the gauges keep their names and get labels of the
//! conventions. See [RPC metrics](https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/).
//!
//! | label | value |
//! |---|---|
//! | `method` | `package.Service/Method`; on a server, `_OTHER` until a response shows that the method exists |
//! | `status` | the name of the status, such as `NOT_FOUND`, as in the span of the call |
//! | `host` | as for HTTP |
//!
//! Any client can send any path to a server. So a server uses a path as a label only after a response has shown that the method
//! exists. The response must have the HTTP status `200` and the content type `application/grpc`, and:
//!
//! | response | the method is then |
//! |---|---|
//! | a message, or the status `OK` | known |
//! | a status that servers and middleware usually do not send, such as `NOT_FOUND` or `INTERNAL` | known; at most a sixteenth of [`series_limit`](MetricsLayer::series_limit) methods become known in this way, because interceptors can send such a status for any path |
//! | another status, such as `UNAUTHENTICATED`, `PERMISSION_DENIED`, `UNAVAILABLE`, `DEADLINE_EXCEEDED` or `CANCELLED` | not known |
//!
//! A method becomes known when the first call with such a response ends. This call has the method in counts and durations, and
//! `_OTHER` in the in-flight gauge. Calls that end with `UNIMPLEMENTED` always have `_OTHER`.
//!
//! The duration of a streaming call ends with its last message, or at the response head with
//! [`duration_to_head`](MetricsLayer::duration_to_head). For a long-lived call, the handler inserts [`LongLived`] into the
//! extensions of tonic's response: the duration then ends at the head, and `grpc_streams_open` counts the call. Custom labels
//! apply to calls; body sizes and `in_flight_by_route` do not. With the feature `tonic`, the status is also read from the errors
//! of a tonic channel.
//!
//! This query returns the ratio of failed calls of a server:
//!
//! ```text
//!   sum(rate(grpc_requests_total{status=~"UNKNOWN|DEADLINE_EXCEEDED|UNIMPLEMENTED|INTERNAL|UNAVAILABLE|DATA_LOSS"}[5m]))
//! / sum(rate(grpc_requests_total[5m]))
//! ```
//!
//! # Options
//!
//! | option | effect |
//! |---|---|
//! | [`names`](MetricsLayer::names) | selects the names of the conventions |
//! | [`rename`](MetricsLayer::rename) | sets other names, or a prefix |
//! | [`label`](MetricsLayer::label), [`response_label`](MetricsLayer::response_label) | add custom labels |
//! | [`body_sizes`](MetricsLayer::body_sizes) | adds histograms of the sizes of request and response bodies |
//! | [`in_flight_by_route`](MetricsLayer::in_flight_by_route) | adds the route to the in-flight gauge |
//! | [`server_address`](MetricsLayer::server_address) | adds the requested host to the metrics of a server |
//! | [`duration_to_head`](MetricsLayer::duration_to_head) | ends durations at the response head |
//! | [`grpc`](MetricsLayer::grpc) | counts gRPC calls in `grpc_*` metrics |
//! | [`series_limit`](MetricsLayer::series_limit) | sets the maximum number of series per metric |
//! | [`http_options`](MetricsLayer::http_options) | sets filter, route, known methods, trusted proxies and scheme, as one [`HttpOptions`] shared with other layers |
//!
//! # Order of layers
//!
//! From the outside in: retries, `TraceLayer`, `MetricsLayer`, `PropagateLayer`. [`observe`] joins the last three into
//! one layer that reads each request once.
//!
//! # Backends
//!
//! | backend | option | records with |
//! |---|---|---|
//! | [`FacadeMetrics`] | default | the recorder of the [`metrics`] facade |
//! | `OtelMetrics` (feature `opentelemetry`) | `meter_provider` | an OpenTelemetry meter, for example to push metrics over OTLP |
//!
//! [`tower-otel-prometheus`](https://docs.rs/tower-otel-prometheus) is a recorder with a `/metrics` service. It can add
//! [exemplars](#exemplars). Without a recorder nothing is counted, and a warning is logged once. A recorder that is
//! installed later counts the requests that end after its installation. The layer caches the handles of the recorder.
//!
//! # Exemplars
//!
//! An exemplar is the trace id of a request in a bucket of a histogram. Default: off; `PrometheusBuilder::exemplars` of
//! `tower-otel-prometheus` enables them. The order of the layers decides whether sampled traces, and traces that the [keep rules]
//! of `tower-otel-recorder` keep, have exemplars:
//!
//! | order, from the outside in | sampled | kept |
//! |---|---|---|
//! | `observe((trace, metrics))`, also with `PropagateLayer` | yes | yes |
//! | `observe((trace, metrics, other))` with an observer of the application | yes | no |
//! | a `TraceLayer`, and a `MetricsLayer` inside it | yes | no |
//! | metrics outside of the trace, joined or not | no | no |
//!
//! For an exemplar of a kept trace, the span of the exchange must be the first span of the trace in this process, because the
//! decision is made when this span ends. There is no exemplar if an open child delays the end of a `tracing` span, if the trace
//! exceeds the limit of kept traces, or if the queue of spans is full. The feature `recorder` of `tower-otel-trace` is required;
//! `tower-otel-init` enables it.
//!
//! [keep rules]: https://docs.rs/tower-otel-recorder/latest/tower_otel_recorder/struct.Keep.html
//!
//! # Bounds
//!
//! | limit of | value | beyond it |
//! |---|---|---|
//! | series per metric | [2000](MetricsLayer::series_limit) | counted in one more series with the label value `overflow`; a warning is logged once |
//! | custom label, host | 128 bytes | cut, ends with `…` |
//! | route | 256 bytes | cut, ends with `…` |
//! | gRPC method | 256 bytes | `_OTHER` |
//! | custom labels of a layer | 4 | omitted; a warning is logged |
//!
//! Recording in an existing series takes no lock and does not allocate.
//!
//! # Features
//!
//! No feature is enabled by default.
//!
//! | feature | enables |
//! |---|---|
//! | `opentelemetry` | `OtelMetrics` |
//! | `axum` | the matched route as `path` |
//! | `connect-info` | `axum`, and the peer's address for [`label`](MetricsLayer::label) |
//! | `hyper-util` | the class of errors of hyper-util's client |
//! | `reqwest` | `hyper-util`, and the layer around a `reqwest::Client` |
//! | `reqwest-middleware` | `reqwest`, and [`into_middleware`](tower_otel_core::ObserveLayer::into_middleware) |
//! | `tonic` | `hyper-util`, and the status in tonic's errors, for [gRPC](#grpc) |
//! | `tower` | the class of errors of tower's timeout and load shedding |
//!
//! [tower]: https://docs.rs/tower

#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod config;
mod counted_in;
mod custom_labels;
mod custom_values;
mod dimensions;
mod end_key;
mod exchange;
mod grpc;
mod handle_cache;
mod instruments;
mod label_text;
mod layer;
mod missing_recorder;
mod names;
mod naming;
mod open_stream;
mod options;
mod start_key;
mod stream_gauges;
mod sync;

#[cfg(feature = "opentelemetry")]
pub use backend::opentelemetry::OtelMetrics;
pub use backend::{facade::FacadeMetrics, instruments::MetricsBackend};
pub use layer::MetricsLayer;
#[doc(hidden)]
pub use missing_recorder::expect_no_recorder;
pub use names::Names;
#[doc(inline)]
pub use tower_otel_core::{
    Filter, Hosts, HttpOptions, LongLived, PeerAddr, RequestHead, ResponseHead, Route, RouteLayer,
    RouteSlot, observe,
};
#[doc(inline)]
pub use tower_otel_semconv::{KnownMethods, TrustedProxies};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
