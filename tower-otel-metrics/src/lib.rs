//! RED metrics for [tower] servers and clients: requests, errors, durations, and requests in flight.
//!
//! # A whole server
//!
//! ```no_run
//! use axum::{Router, routing::get};
//! use tower_otel_metrics::MetricsLayer;
//! use tower_otel_prometheus::Prometheus;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // Install the recorder before the first request.
//!     let prometheus = Prometheus::install()?;
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
//! # A whole client
//!
//! ```no_run
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_otel_metrics::MetricsLayer;
//! use tower_otel_prometheus::Prometheus;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let prometheus = Prometheus::install()?;
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
//! [`Names::Short`] lists the default names of the metrics and labels, [`Names::Conventions`] those of the
//! semantic conventions.
//!
//! | label | value |
//! |---|---|
//! | `method` | a known method, or `_OTHER` |
//! | `path` | the matched route, or `unmatched`; never the path of the URL |
//! | `host` | host and port of the target of a client's request; omitted if the request has none |
//! | `status` | the status code, even if the body fails later; without a response `cancelled`, `error` or `panic` |
//!
//! Durations are in seconds. A duration starts with the request and ends with the response body. Every
//! exchange is counted once, [however it ends](tower_otel_core#when-an-exchange-ends), and the in-flight
//! gauge goes down for each. `http_responses_aborted_total` counts responses whose body failed, panicked or
//! was dropped early.
//!
//! The ratio of failed requests is
//!
//! ```text
//!   ( sum(rate(http_requests_total{status=~"5..|error|panic|cancelled"}[5m]))
//!   + sum(rate(http_responses_aborted_total[5m])) )
//! / sum(rate(http_requests_total[5m]))
//! ```
//!
//! A response that is both a `5xx` and aborted counts twice in it. A client that disconnects causes
//! `cancelled`, and most aborted responses; leave these out if they are not errors of your service.
//!
//! # Streams
//!
//! [Streams that are meant to last](tower_otel_core#streams-that-are-meant-to-last), and upgraded connections that
//! [`LongLived::run`] observes, are counted in `http_streams_open{method}` while they are open, those of a client in
//! `http_client_streams_open{host}`. The duration of a stream is that of its head, and a client that leaves it does not abort it.
//!
//! | case | recipe |
//! |---|---|
//! | server-sent events | none: the `Content-Type` is `text/event-stream` |
//! | other streams, as of a `tail -f` | the handler returns the extension [`LongLived`] |
//! | WebSocket | the handler returns the extension, and [runs](LongLived::run) the connection with a clone of it |
//! | downloads | the route of axum's `nest_service` is `unmatched`, unless the service is a router with a [`RouteLayer`]. `nest("/files", Router::new().route_service("/{*file}", folder))` has the route `/files/{*file}`. A download that a client stops is aborted |
//!
//! # gRPC
//!
//! By default a gRPC call is counted as an HTTP exchange: its `status` is usually `200`, whatever its
//! `grpc-status` is. With [`grpc`](MetricsLayer::grpc), a `POST` with the `Content-Type`
//! `application/grpc`, on a server over HTTP/2 or with `te: trailers`, is counted as a call instead, and other requests on the
//! same port as HTTP. Calls of gRPC-Web are counted by a layer inside of `GrpcWebLayer` of `tonic-web`.
//!
//! | server | client |
//! |---|---|
//! | `grpc_requests_total{method,status}` | `grpc_client_requests_total{method,host,status}` |
//! | `grpc_request_duration_seconds{method}` | `grpc_client_request_duration_seconds{method,host}` |
//! | `grpc_requests_in_flight{method}` | `grpc_client_requests_in_flight{host}` |
//! | `grpc_streams_open{method}` | `grpc_client_streams_open{host}` |
//!
//! [`Names::Conventions`] has, in place of the first two, the histograms
//! `rpc_server_call_duration_seconds` and `rpc_client_call_duration_seconds`, with the labels
//! `rpc_system_name`, `rpc_method`, `rpc_status_code` and `error_type`, and on a client `server_address`
//! and `server_port`. The conventions have no gauge; it keeps its name, with their labels. See
//! [RPC metrics](https://opentelemetry.io/docs/specs/semconv/rpc/rpc-metrics/).
//!
//! | label | value |
//! |---|---|
//! | `method` | `package.Service/Method`. On a server, `_OTHER` until an answer shows that the method exists |
//! | `status` | the name of the status, such as `NOT_FOUND`; by the rules of the span of the call, so that both are equal |
//! | `host` | as for HTTP |
//!
//! Any client can send any path to a server, so a path is no label until a response shows that it is a
//! method. Only a response with the HTTP status `200` and the content type `application/grpc` can show it:
//!
//! | response | method |
//! |---|---|
//! | a message, or the status `OK` | known |
//! | a failure that servers and middleware do not send by themselves, such as `NOT_FOUND` or `INTERNAL` | known, up to a sixteenth of [`series_limit`](MetricsLayer::series_limit), because interceptors can send it for any path |
//! | `UNAUTHENTICATED`, `UNAVAILABLE`, a deadline, a cancelled call | not known |
//!
//! A method becomes known when a call ends. This call is counted and timed as the method; until it ends, it is
//! in flight as `_OTHER`. Calls that end with `UNIMPLEMENTED` are always counted as `_OTHER`.
//!
//! A streaming call lasts until its last message, or to the response head with
//! [`duration_to_head`](MetricsLayer::duration_to_head). A call that is meant to last is marked by its handler, with [`LongLived`] in the
//! extensions of tonic's response: then its duration is that of the head, and it is a stream that is open. Custom labels apply to calls, body sizes and
//! `in_flight_by_route` do not. The feature `tonic` reads the status in the errors of a tonic channel.
//!
//! The ratio of failed calls of a server is
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
//! | [`grpc`](MetricsLayer::grpc) | counts gRPC calls under names of their own |
//! | [`http_options`](MetricsLayer::http_options) | sets filter, route, known methods, trusted proxies and scheme, as one [`HttpOptions`] shared with other layers |
//!
//! # Order of layers
//!
//! From the outside in: retries, `TraceLayer`, `MetricsLayer`, `PropagateLayer`. [`observe`] joins them into
//! one layer, which reads each request once.
//!
//! # Backends
//!
//! | backend | selected by | records with |
//! |---|---|---|
//! | [`FacadeMetrics`] | default | the recorder of the [`metrics`] facade |
//! | `OtelMetrics` (feature `opentelemetry`) | `meter_provider` | a meter of OpenTelemetry, for example to push by OTLP |
//!
//! [`tower-otel-prometheus`](https://docs.rs/tower-otel-prometheus) has a recorder with a `/metrics`
//! service and, inside an outer `TraceLayer`, with exemplars. The layer caches the handles of the recorder. Without a recorder nothing is counted, and a
//! warning is logged once; requests are counted from the installation of a recorder on.
//!
//! # Bounds
//!
//! A layer creates at most [2000](MetricsLayer::series_limit) series per metric. Exchanges beyond that are
//! counted in one more series, with the label value `overflow`, and a warning is logged once. Custom labels
//! and hosts have at most 128 bytes, routes and gRPC methods at most 256: longer values are cut and end with
//! `…`, longer methods are `_OTHER`. Recording in a series that exists takes no lock and does not allocate.
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
//! | `hyper-util` | the errors of hyper-util's client |
//! | `reqwest` | `hyper-util`, and the layer around a `reqwest::Client` |
//! | `reqwest-middleware` | `reqwest`, and [`into_middleware`](tower_otel_core::ObserveLayer::into_middleware) |
//! | `tonic` | `hyper-util`, and the status in tonic's errors, for [gRPC](#grpc) |
//! | `tower` | the errors of tower: timeout, load shedding |
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
