//! RED metrics for [tower]: how many requests, how many of them in error, how long they took, and
//! how many there are right now. Every exchange is counted once, however it ends.
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
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut client = ServiceBuilder::new()
//!         .layer(MetricsLayer::client())
//!         .service(reqwest::Client::new());
//!
//!     let url = "http://127.0.0.1:3000/users/7".parse()?;
//!     let request = reqwest::Request::new(reqwest::Method::GET, url);
//!     let response = client.ready().await?.call(request).await?;
//!     println!("{}", response.text().await?);
//!     Ok(())
//! }
//! ```
//!
//! # What is recorded
//!
//! By default the names of [`Names::Short`], by an option those of the semantic conventions
//! ([`Names::Conventions`]).
//!
//! | label | value |
//! |---|---|
//! | `method` | a known method, or `_OTHER` |
//! | `path` | the route that matched, `unmatched` where none did; never the path itself |
//! | `host` | host and port of the target of a client's request; absent where it names none |
//! | `status` | the code that was sent, whatever became of the body; `cancelled`, `error` or `panic` where none was |
//!
//! The duration, in seconds, is that from the start of an exchange to its end, which is the end of
//! the response body: the table is that of [`tower_otel_core`]. `http_responses_aborted_total`
//! counts the responses whose body failed, panicked or was dropped early.
//!
//! So the share of requests that did not end well is
//!
//! ```text
//!   ( sum(rate(http_requests_total{status=~"5..|error|panic|cancelled"}[5m]))
//!   + sum(rate(http_responses_aborted_total[5m])) )
//! / sum(rate(http_requests_total[5m]))
//! ```
//!
//! less the responses that were both a `5xx` and cut short. Whether a client that hung up
//! (`cancelled`, and most aborted responses) is an error of yours is for you to say.
//!
//! A gRPC call is counted as the HTTP exchange it is: `status` is `200` even where `grpc-status`
//! says otherwise. Its span, by `TraceLayer::grpc()`, knows better.
//!
//! # Bounds
//!
//! A layer makes at most [2000](MetricsLayer::series_limit) series of a metric. Whatever does not
//! fit is counted in one series more, whose labels say `overflow`, and a warning is logged once.
//! Once a series is known, counting in it neither locks nor allocates.
//!
//! # OpenTelemetry
//!
//! With the feature `opentelemetry` a layer records with a meter instead,
//! `.meter_provider(&provider)`: the same metrics, for a push by OTLP.
//!
//! # By an option
//!
//! | option | what it adds |
//! |---|---|
//! | [`rename`](MetricsLayer::rename) | names or a prefix of your own |
//! | [`label`](MetricsLayer::label), [`response_label`](MetricsLayer::response_label) | labels of your own |
//! | [`body_sizes`](MetricsLayer::body_sizes) | `http_server_request_body_size_bytes`, `http_server_response_body_size_bytes`, and a client's |
//! | [`in_flight_by_route`](MetricsLayer::in_flight_by_route) | the gauge by route |
//! | [`server_address`](MetricsLayer::server_address) | the host a server was asked for |
//! | [`duration_to_head`](MetricsLayer::duration_to_head) | durations without the body |
//!
//! # The recorder
//!
//! The layer records into the recorder of the [`metrics`] facade and keeps its handles, so install
//! the recorder before the first request. While there is none, nothing is counted, and a warning
//! says so once; a recorder that comes later counts from then on. The crate
//! [`tower-otel-prometheus`](https://docs.rs/tower-otel-prometheus) has one, with a `/metrics` service.
//!
//! # Features
//!
//! None is on by default. `opentelemetry` brings the method `meter_provider`; `axum`, `connect-info`, `hyper-util`, `reqwest`, `reqwest-middleware` and
//! `tower` are those of [`tower_otel_core`].
//!
//! [tower]: https://docs.rs/tower

#![cfg_attr(docsrs, feature(doc_cfg))]

mod backend;
mod custom_labels;
mod custom_values;
mod dimensions;
mod end_key;
mod exchange;
mod handle_cache;
mod instruments;
mod layer;
mod names;
mod naming;
mod options;
mod start_key;
mod state;
mod sync;

#[cfg(feature = "opentelemetry")]
pub use backend::opentelemetry::OtelMetrics;
pub use backend::{MetricsBackend, facade::FacadeMetrics};
pub use exchange::MetricsExchange;
pub use layer::MetricsLayer;
pub use names::Names;
#[doc(inline)]
pub use tower_otel_core::{Filter, Hosts, HttpOptions, Kind, Route, RouteLayer, RouteSlot};
#[doc(inline)]
pub use tower_otel_semconv::{KnownMethods, TrustedProxies};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
