//! A [tower] layer that records server and client spans with the OpenTelemetry [HTTP conventions] and [gRPC conventions].
//!
//! # A complete server
//!
//! ```no_run
//! use std::net::SocketAddr;
//!
//! use axum::{Router, extract::Path, routing::get};
//! use opentelemetry::{InstrumentationScope, trace::TracerProvider};
//! use opentelemetry_sdk::trace::SdkTracerProvider;
//! use tower_otel_semconv::SCHEMA_URL;
//! use tower_otel_trace::TraceLayer;
//! use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt, util::SubscriberInitExt};
//!
//! async fn user(Path(id): Path<u64>) -> String {
//!     format!("user {id}")
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let provider = SdkTracerProvider::builder().build(); // .with_batch_exporter(..)
//!     let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
//!         .with_version(env!("CARGO_PKG_VERSION"))
//!         .with_schema_url(SCHEMA_URL)
//!         .build();
//!     // The level INFO omits the spans of hyper and h2.
//!     tracing_subscriber::registry()
//!         .with(
//!             tracing_opentelemetry::layer()
//!                 .with_tracer(provider.tracer_with_scope(scope))
//!                 // These options omit attributes that are not in the conventions, such as `busy_ns`.
//!                 .with_location(false)
//!                 .with_target(false)
//!                 .with_threads(false)
//!                 .with_tracked_inactivity(false)
//!                 .with_filter(LevelFilter::INFO),
//!         )
//!         .init();
//!
//!     let app = Router::new()
//!         .route("/users/{id}", get(user))
//!         .layer(TraceLayer::server());
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//!     // With the peer's address, for `client.address`.
//!     axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await?;
//!     Ok(())
//! }
//! ```
//!
//! The crate `tower-otel-init` does this set-up in one line. It uses the layer of `tower-otel-recorder`, which records the same
//! spans with less CPU time.
//!
//! # A complete client
//!
//! ```no_run
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_otel_propagate::PropagateLayer;
//! use tower_otel_trace::TraceLayer;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut client = ServiceBuilder::new()
//!         .layer(TraceLayer::client())
//!         .layer(PropagateLayer::new())
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
//! # A client that retries
//!
//! With the feature `reqwest-middleware`, `observe(..).into_middleware()` is a middleware for a
//! `reqwest_middleware` client. Add it after the middleware that retries. Each attempt then has its own span and
//! `traceparent`, and `http.request.resend_count` is the number of earlier attempts.
//!
//! ```no_run
//! use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
//! use tower_otel_propagate::PropagateLayer;
//! use tower_otel_trace::{TraceLayer, observe};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let policy = ExponentialBackoff::builder().build_with_max_retries(3);
//!     let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new())
//!         .with(RetryTransientMiddleware::new_with_policy(policy))
//!         .with(observe((TraceLayer::client(), PropagateLayer::new())).into_middleware())
//!         .build();
//!
//!     let response = client.get("http://127.0.0.1:3000/users/7").send().await?;
//!     println!("{}", response.text().await?);
//!     Ok(())
//! }
//! ```
//!
//! A `ClientWithMiddleware` is also a tower service. A layer around it records all attempts as one exchange with one
//! `traceparent`.
//!
//! # What is recorded
//!
//! Attributes without a known value are omitted. Numbers are recorded as integers.
//!
//! | server attribute | source |
//! |---|---|
//! | `http.request.method` | the method, or `_OTHER` if it is not known |
//! | `http.request.method_original` | the method, if it is not known |
//! | `http.route` | axum's `MatchedPath`, [`route`](TraceLayer::route), or a [`RouteSlot`] |
//! | `url.path`, `url.query` | the target; values of sensitive query parameters are `REDACTED` |
//! | `url.scheme` | a trusted proxy, else [`https`](TraceLayer::https), else the target, else `http` |
//! | `server.address`, `server.port` | a trusted proxy, else the target's authority, else the `Host` header |
//! | `client.address` | a trusted proxy, else the peer |
//! | `network.peer.address`, `network.peer.port` | axum's `ConnectInfo` (feature `connect-info`), or a [`PeerAddr`] |
//! | `network.protocol.version` | the request |
//! | `user_agent.original` | the request |
//! | `http.response.status_code` | the response |
//! | `error.type` | [the end](#when-a-span-ends) |
//!
//! | client attribute | source |
//! |---|---|
//! | `http.request.method`, `http.request.method_original` | as on a server |
//! | `url.full` | the target, without credentials; values of sensitive query parameters are `REDACTED` |
//! | `server.address`, `server.port` | the target, else the `Host` header; without a port the default port of the scheme |
//! | `network.peer.address`, `network.peer.port` | the response of reqwest or of hyper-util's client (feature `hyper-util`), or a [`PeerAddr`] |
//! | `network.protocol.version` | the response |
//! | `http.response.status_code` | the response |
//! | `error.type` | [the end](#when-a-span-ends) |
//!
//! | optional attribute | option |
//! |---|---|
//! | `http.request.header.{name}`, `http.response.header.{name}` | [`capture_request_headers`](TraceLayer::capture_request_headers), [`capture_response_headers`](TraceLayer::capture_response_headers) |
//! | `http.request.body.size`, `http.response.body.size` | [`body_sizes`](TraceLayer::body_sizes) |
//! | server: `client.port`, `network.local.address`, `network.local.port` | [`opt_in`](TraceLayer::opt_in) |
//! | client: `url.scheme`, `user_agent.original` | [`opt_in`](TraceLayer::opt_in) |
//! | both: `network.transport`, `user_agent.synthetic.type` | [`opt_in`](TraceLayer::opt_in) |
//! | client: `url.template` | a [`Route`] in the request's extensions, or [`route`](TraceLayer::route) |
//! | client: `http.request.resend_count` | [`Attempts`] in the request's extensions |
//! | the error, as an event | [`exceptions`](TraceLayer::exceptions) |
//! | a log line for each exchange | [`access_log`](TraceLayer::access_log) |
//!
//! | span | name |
//! |---|---|
//! | server | `{method} {route}`, or `{method}` without a route |
//! | client | `{method} {template}`, or `{method}` without a template |
//!
//! An unknown method is `HTTP` in the name. A handler can rename the span: see [`expose_span`](TraceLayer::expose_span). With
//! [`server_timing`](TraceLayer::server_timing), the response contains the ids of the span.
//!
//! Client address and port, peer address and user agent can be personal data.
//! [`personal_data(false)`](TraceLayer::personal_data) omits them, except the peer of a client, because it is a server. The text
//! of an error can contain a URL with secrets, so it is recorded only with [`exceptions`](TraceLayer::exceptions).
//!
//! # What is not recorded
//!
//! | attribute | reason |
//! |---|---|
//! | `http.request.size`, `http.response.size` | they include the bytes of the head on the wire, which a layer cannot read |
//! | `http.request.body.content`, `http.response.body.content` | a body is unbounded and can contain secrets; request bodies are not wrapped |
//! | `network.protocol.name` | the conventions require it only for protocols other than `http` |
//!
//! # When a span ends
//!
//! A span ends with the response body, not with the head: see [`End`](tower_otel_core#when-an-exchange-ends).
//! For an error, the status is `Error` without a description, and `error.type` has a value. A dash means no error:
//!
//! | end | `error.type` on a server | `error.type` on a client |
//! |---|---|---|
//! | complete or upgraded, status below 400 | – | – |
//! | complete, 4xx | – | the status code |
//! | complete, 5xx | the status code | the status code |
//! | service or body failed | the class of the failure (below) | the class of the failure (below) |
//! | cancelled before the head | `cancelled` | – |
//! | body dropped early | the status code if it is an error, else `aborted` | the status code if it is an error, else – |
//! | [long-lived stream](tower_otel_core#long-lived-streams) dropped | the status code if it is an error, else – | the same |
//! | panicked | `panic` | `panic` |
//!
//! The class of a failure is a value such as `timeout` or `connection_refused`, else the path of the error's type. If neither is
//! known, it is `_OTHER` before the head and `body` after it.
//!
//! An upgraded connection, such as a WebSocket, has a span if [`LongLived::run`] observes it. The span has the name
//! `upgraded connection` and the kind internal. It starts a new trace with a link to the span of the request.
//!
//! # gRPC
//!
//! With [`grpc`](TraceLayer::grpc), spans of gRPC calls follow the [gRPC conventions], for unary and
//! streaming methods. A gRPC call is a `POST` with the `Content-Type` `application/grpc`. On a server it must also use HTTP/2 or
//! have the header `te: trailers`. Other requests are recorded as HTTP, including gRPC-Web, which sends its status in the body.
//! To record gRPC-Web calls, put the layer inside `GrpcWebLayer` of `tonic-web`.
//!
//! Enable the feature `tonic` to read tonic's errors and peer addresses. Other servers and clients need no feature.
//!
//! A complete server:
//!
//! ```no_run
//! use tonic::transport::Server;
//! use tower_otel_trace::TraceLayer;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let (_reporter, health) = tonic_health::server::health_reporter();
//!     Server::builder()
//!         .layer(TraceLayer::server().grpc())
//!         .add_service(health)
//!         .serve("127.0.0.1:50051".parse()?)
//!         .await?;
//!     Ok(())
//! }
//! ```
//!
//! A complete client. `with_origin` adds the server's address to each request, for `server.address`:
//!
//! ```no_run
//! use tonic::transport::{Endpoint, Uri};
//! use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
//! use tower::ServiceBuilder;
//! use tower_otel_propagate::PropagateLayer;
//! use tower_otel_trace::TraceLayer;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let uri = Uri::from_static("http://127.0.0.1:50051");
//!     let channel = Endpoint::from(uri.clone()).connect_lazy();
//!     let service = ServiceBuilder::new()
//!         .layer(TraceLayer::client().grpc())
//!         .layer(PropagateLayer::new())
//!         .service(channel);
//!     let mut client = HealthClient::with_origin(service, uri);
//!     println!("{:?}", client.check(HealthCheckRequest::default()).await?);
//!     Ok(())
//! }
//! ```
//!
//! | attribute | source |
//! |---|---|
//! | `rpc.system.name` | `grpc` |
//! | `rpc.method` | the path: `package.Service/Method`; `_OTHER` if the path has another form, or on a server that responds `UNIMPLEMENTED` |
//! | `rpc.method_original` | the path, if `rpc.method` is `_OTHER` |
//! | `rpc.status_code` | the status by name, such as `NOT_FOUND`; with [`rpc_response_status_code`](TraceLayer::rpc_response_status_code) it is `rpc.response.status_code`, the name in conventions before 1.45.0 |
//! | `server.address`, `server.port` | as for HTTP |
//! | `network.peer.address`, `network.peer.port` | as for HTTP; on a tonic server with the feature `tonic`; not known for a tonic channel |
//! | `rpc.request.header.{name}`, `rpc.response.header.{name}`, `rpc.response.trailer.{name}` | the options that capture headers |
//! | `error.type` | the end (below) |
//!
//! The name of a span is `rpc.method`, or `grpc` if that is `_OTHER`. A server records `rpc.method` at the end, because any client
//! can send any path.
//!
//! | end | status | error on a server | error on a client |
//! |---|---|---|---|
//! | complete | `grpc-status` in the trailers, or in the head of a response without a body | the status, if it is `UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE` or `DATA_LOSS` | the status, if it is not `OK` |
//! | complete without `grpc-status` | derived from the [HTTP status]; for `200` it is `UNKNOWN` | as above | as above |
//! | cancelled, or body dropped early, after the call's `grpc-timeout` | `DEADLINE_EXCEEDED` | the status | the status |
//! | cancelled, or body dropped early, before the `grpc-timeout` | `CANCELLED` | – | the status |
//! | complete with `CANCELLED`, on a client after the call's `grpc-timeout` | `DEADLINE_EXCEEDED` | – | the status |
//! | failed with tonic's `Status` or with a reset of the stream (feature `tonic`) | that status | the status | the status |
//! | rejected by `load_shed` of tower (feature `tower`) | `RESOURCE_EXHAUSTED`, which tonic also sends to the caller | the status | the status |
//! | failed in another way | on a client `DEADLINE_EXCEEDED` or `UNAVAILABLE` if the error implies it, else `UNKNOWN` | the class of the failure | the status for `DEADLINE_EXCEEDED`, else the class of the failure |
//! | panicked | `UNKNOWN` | `panic` | `panic` |
//!
//! # Order of layers
//!
//! From the outside in: retries, `TraceLayer`, `MetricsLayer`, `PropagateLayer`, `tower::buffer`.
//!
//! | layer | position | reason |
//! |---|---|---|
//! | a layer that retries | outside `TraceLayer` | each attempt has its own span and `traceparent` |
//! | a layer that uses the span | inside `TraceLayer` | it runs in the context of the span |
//! | `tower::buffer` | inside all of them | it calls its service in another task, where only the `tracing` span of the caller is current; the response future is polled in the caller's context |
//!
//! Pass the same [`HttpOptions`] to all layers of a service with
//! [`http_options`](TraceLayer::http_options): filter, route, known methods, trusted proxies and scheme.
//! [`observe`] joins layers into one layer that reads each request once.
//!
//! # Backends
//!
//! All backends record the same attributes and ends.
//!
//! | backend | option | spans | use it if |
//! |---|---|---|---|
//! | [`TracingBackend`] | default | `tracing` spans, level `INFO`, target `tower_otel_trace` | log lines belong to the spans |
//! | [`TracerBackend`] | [`tracer_provider`](TraceLayer::tracer_provider) | OpenTelemetry spans of this provider | you need the provider's span processors |
//! | `RecorderBackend` (feature `recorder`) | `recorder` | compact records, exported on a separate thread | you need the lowest CPU time, and the spans need no subscriber |
//! | [`AnyBackend`] | [`any_backend`](TraceLayer::any_backend) | those of the chosen backend | you choose the backend at run time |
//!
//! With `tracing` spans:
//!
//! - The layer of tower-otel-recorder, or tracing-opentelemetry, exports them. The exported end time is the last exit of the span,
//!   which is the end of the exchange unless a task enters the span later. Below the subscriber of tower-otel-init it is the end of
//!   the exchange. The instrumentation scope is that of the layer's tracer: see the server above.
//! - If a filter disables a span, the context of the remote parent is still propagated.
//! - Names that are set after the start, links, captured headers and the [`SpanHandle`] need one of these layers. Otherwise they
//!   are lost.
//! - With `with_context_activation(false)` no OpenTelemetry context is current, and `PropagateLayer` does
//!   not send the id of the client span.
//! - tracing-opentelemetry sets the status to `Error`, without `error.type`, for each event of level `ERROR` in the span,
//!   including log lines of handlers. To prevent this, filter events out of its layer:
//!   `filter_fn(|metadata| metadata.is_span())`.
//!
//! OpenTelemetry spans of `tracer_provider` need no subscriber. Their duration equals that of the metrics. Their instrumentation
//! scope is this crate with its version and schema URL. Log lines do not change their status.
//!
//! With the recorder, a request uses the least CPU time. Changes that handlers make to the span are recorded. Span processors are
//! not supported.
//!
//! # Bounds
//!
//! | value | bound |
//! |---|---|
//! | HTTP span names | known methods and routes, never a path |
//! | gRPC span names | `rpc.method`, or `grpc` if that is `_OTHER` |
//! | `error.type` | status codes, classes of failure and error types of the program |
//! | path, query, URL, route, method, user agent, captured header | 4096 characters each, even if the provider has no limit |
//! | recorded causes of an error ([`exceptions`](TraceLayer::exceptions)) | 16 |
//!
//! # Features
//!
//! No feature is enabled by default.
//!
//! | feature | enables |
//! |---|---|
//! | `axum` | the matched route, for the span name and `http.route` |
//! | `connect-info` | `axum`, and `client.address` and `network.peer.*` from its `ConnectInfo` |
//! | `hyper-util` | the errors and the peer address of hyper-util's client |
//! | `reqwest` | `hyper-util`, and the layer around a `reqwest::Client` |
//! | `reqwest-middleware` | `reqwest`, and [`into_middleware`](tower_otel_core::ObserveLayer::into_middleware) |
//! | `tonic` | `hyper-util`, and tonic's errors and peer addresses, for gRPC |
//! | `tower` | the errors of tower's timeout and load shedding |
//! | `recorder` | `RecorderBackend`; adds the dependencies opentelemetry_sdk and futures-executor |
//! | `recorder-layer` | cheaper `tracing` spans below the subscriber of `tower-otel-init`, which enables it; adds tracing-subscriber |
//!
//! [tower]: https://docs.rs/tower
//! [HTTP conventions]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/
//! [gRPC conventions]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
//! [HTTP status]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md

#![cfg_attr(docsrs, feature(doc_cfg))]

mod access_log;
mod attributes;
mod backend;
mod connection;
mod exception;
mod exchange;
mod grpc;
mod header_capture;
mod kept;
mod layer;
mod no_subscriber;
mod opt_in;
mod parent;
mod protocol;
mod remote_parent_policy;
mod request;
mod server_timing;
mod span_handle;
mod span_name_cache;
mod state;
mod string_cache;
#[cfg(feature = "recorder")]
mod template_key;
mod text_limit;
mod thread_exit;

#[cfg(feature = "recorder")]
pub use backend::RecorderBackend;
pub use backend::{AnyBackend, SpanBackend, TracerBackend, TracingBackend};
pub use layer::TraceLayer;
pub use opt_in::OptIn;
pub use span_handle::SpanHandle;
#[doc(inline)]
pub use tower_otel_core::{
    Attempts, Filter, Hosts, HttpOptions, LocalAddr, LongLived, PeerAddr, RequestHead, Route,
    RouteLayer, RouteSlot, observe,
};
#[doc(inline)]
pub use tower_otel_propagate::{Propagation, RemoteParent};
#[cfg(feature = "recorder")]
#[doc(inline)]
pub use tower_otel_recorder::Recorder;
#[doc(inline)]
pub use tower_otel_semconv::{KnownMethods, SensitiveKeys, TrustedProxies};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
