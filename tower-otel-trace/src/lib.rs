//! Server and client spans for [tower] by the OpenTelemetry [HTTP conventions].
//!
//! # A whole server
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
//!     // With an exporter of your choice.
//!     let provider = SdkTracerProvider::builder().build();
//!     // Every span says who made it, and by which version of the conventions.
//!     let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
//!         .with_version(env!("CARGO_PKG_VERSION"))
//!         .with_schema_url(SCHEMA_URL)
//!         .build();
//!     // Below INFO, hyper and h2 have spans of their own.
//!     tracing_subscriber::registry()
//!         .with(
//!             tracing_opentelemetry::layer()
//!                 .with_tracer(provider.tracer_with_scope(scope))
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
//! # A whole client
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
//! With the feature `reqwest-middleware`, layers are middleware of `reqwest_middleware` as well.
//! Behind the one that retries, every attempt has a span and a `traceparent` of its own, and says
//! in `http.request.resend_count` which it is.
//!
//! ```no_run
//! use reqwest_retry::{RetryTransientMiddleware, policies::ExponentialBackoff};
//! use tower_otel_core::observe;
//! use tower_otel_propagate::PropagateLayer;
//! use tower_otel_trace::TraceLayer;
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
//! A `ClientWithMiddleware` is a tower service too. Layers around it see what all attempts together
//! come to, as one exchange with one `traceparent`.
//!
//! # What is recorded
//!
//! What is not known is absent. Integers are integers.
//!
//! | server attribute | from |
//! |---|---|
//! | `http.request.method`, `http.request.method_original` | the method; one that is not known is `_OTHER` and kept in the second |
//! | `http.route` | axum's `MatchedPath`, [`.route(..)`](TraceLayer::route), or a [`RouteSlot`](tower_otel_core::RouteSlot) |
//! | `url.path`, `url.query` | the target; values of sensitive keys are `REDACTED` |
//! | `url.scheme` | a trusted proxy, [`.https()`](TraceLayer::https), the target, else `http` |
//! | `server.address`, `server.port` | a trusted proxy, the target's authority, the `Host` header |
//! | `client.address` | a trusted proxy, else the peer |
//! | `network.peer.address`, `network.peer.port` | axum's `ConnectInfo` (feature `connect-info`), or a [`PeerAddr`](tower_otel_core::PeerAddr) |
//! | `network.protocol.version` | the request |
//! | `user_agent.original` | the request |
//! | `http.response.status_code` | the response |
//! | `error.type` | see below |
//!
//! | client attribute | from |
//! |---|---|
//! | `http.request.method`, `http.request.method_original` | as on the server |
//! | `url.full` | the target, without credentials and secrets in its query |
//! | `server.address`, `server.port` | the target, else the `Host` header; the port of the scheme where none is written |
//! | `network.peer.address`, `network.peer.port` | the response, where the client knows: reqwest, hyper-util's with the feature `hyper-util`, or a [`PeerAddr`](tower_otel_core::PeerAddr) |
//! | `network.protocol.version` | the response |
//! | `http.response.status_code` | the response |
//! | `error.type` | see below |
//!
//! By an option:
//!
//! | attribute | option |
//! |---|---|
//! | `http.request.header.{name}`, `http.response.header.{name}` | [`.capture_request_headers(..)`](TraceLayer::capture_request_headers), [`.capture_response_headers(..)`](TraceLayer::capture_response_headers) |
//! | `http.request.body.size`, `http.response.body.size` | [`.body_sizes()`](TraceLayer::body_sizes) |
//! | `client.port`, `network.local.address`, `network.local.port` on a server, `url.scheme`, `user_agent.original` on a client, `network.transport`, `user_agent.synthetic.type` on both | [`.opt_in(..)`](TraceLayer::opt_in) |
//! | `url.template` on a client | a [`Route`](tower_otel_core::Route) in the request's extensions, or [`.route(..)`](TraceLayer::route) |
//! | `http.request.resend_count` on a client | [`Attempts`](tower_otel_core::Attempts) in the request's extensions |
//! | the error itself, as an event | [`.exceptions()`](TraceLayer::exceptions) |
//!
//! A server's span is called `{method} {route}`, or `{method}` without a route; a client's
//! `{method}`, or `{method} {template}`. A method that is not known is called `HTTP`.
//! [`.expose_span()`](TraceLayer::expose_span) lets a handler rename it.
//!
//! Client address and port, peer address and user agent can be personal data.
//! [`.personal_data(false)`](TraceLayer::personal_data) leaves them out, but for the peer of a client, which is a server. The text of an
//! error is not recorded unless asked for: it may quote a URL with its secrets.
//!
//! # What is not recorded
//!
//! | attribute | why |
//! |---|---|
//! | `http.request.size`, `http.response.size` | they count the head as it was on the wire, compressed in HTTP/2 and never seen by a layer; a guess would be wrong |
//! | `http.request.body.content`, `http.response.body.content` | a body has no bound and may hold secrets, and the body of a request is never touched |
//! | `network.protocol.name` | the conventions want it where it is not `http` |
//!
//! # When a span ends, and what is an error
//!
//! A span ends with the response body, not with its head: the table is that of
//! [`tower_otel_core`]. The status is `Error`, without a description, and `error.type` says why:
//!
//! | end | server | client |
//! |---|---|---|
//! | complete, 4xx | – | the status |
//! | complete, 5xx | the status | the status |
//! | service or body failed | the kind of failure: `timeout`, `connection_refused`, the type of the error, else `body` after the head and `_OTHER` before it | the same |
//! | cancelled before the head | `cancelled` | – |
//! | body dropped early | `aborted`, or the status if that is an error | –, or the status if that is an error |
//! | panicked | `panic` | `panic` |
//!
//! # gRPC
//!
//! With [`.grpc()`](TraceLayer::grpc) the spans of gRPC calls follow the [gRPC conventions]. All
//! four kinds of methods do, because a span ends with the response body. The feature `tonic`
//! teaches the layer the errors of tonic and the address of the peer; other servers and clients
//! need no feature.
//!
//! A whole server:
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
//! A whole client. `with_origin` tells the layers whom the channel calls, for `server.address`:
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
//! | attribute | from |
//! |---|---|
//! | `rpc.system.name` | `grpc` |
//! | `rpc.method` | the path, `package.Service/Method`; see below |
//! | `rpc.response.status_code` | the status by name: `OK`, `NOT_FOUND`; [`.grpc_status_attribute(..)`](TraceLayer::grpc_status_attribute) moves it to `rpc.status_code`, as the next conventions do |
//! | `server.address`, `server.port`, `network.peer.address`, `network.peer.port` | as for HTTP; on a tonic server the peer with the feature `tonic`, while a tonic channel does not tell its peer |
//! | `rpc.request.metadata.{name}`, `rpc.response.metadata.{name}` | the options that capture headers |
//! | `error.type` | see below |
//!
//! A span is called after its method. A server cannot tell a method from what a stranger made up
//! before it has answered, so there `rpc.method` comes last: where the answer is `UNIMPLEMENTED`,
//! it is `_OTHER`, the name asked for is `rpc.method_original`, and the span is called `grpc`.
//!
//! A request is a call by its `Content-Type`, `application/grpc`, and HTTP otherwise; so is
//! gRPC-Web, whose status is inside of its body.
//!
//! | end | status | error on a server | error on a client |
//! |---|---|---|---|
//! | complete | `grpc-status` in the trailers, or in the head of an answer that has no more | the status, if it is `UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE` or `DATA_LOSS` | the status, if it is not `OK` |
//! | complete without `grpc-status` | what the HTTP status [stands for]; for `200` `UNKNOWN`, never `OK` | as above | as above |
//! | cancelled, or body dropped early, when the call's `grpc-timeout` is over | `DEADLINE_EXCEEDED` | the status | the status |
//! | the same before | `CANCELLED` | – | – |
//! | failed with tonic's `Status` (feature `tonic`) | that | the status | the status |
//! | failed otherwise | on a client `DEADLINE_EXCEEDED` or `UNAVAILABLE` where the error says so; else `UNKNOWN` | the kind of failure | the kind of failure |
//! | panicked | `UNKNOWN` | `panic` | `panic` |
//!
//! # In which order
//!
//! Outside in: `TraceLayer`, `MetricsLayer`, `PropagateLayer`. What is inside of `TraceLayer` runs
//! in the context of its span. Layers that retry belong outside, so that every attempt has a span
//! and a `traceparent` of its own.
//!
//! A `tower::buffer` belongs inside of them all. What is inside of it is called from a task of its
//! own, where the caller's context is not current (but for a `tracing` span, which the buffer
//! enters by itself), and polled where it is.
//!
//! # Three kinds of spans
//!
//! Spans are `tracing` spans of level `INFO` and target `tower_otel_trace`, so log lines belong to
//! them. tracing-opentelemetry exports them, by its own clock: the exported end is the last time a
//! span was left, which is when the exchange ended. Their scope, with its schema, is that of the
//! tracer it was given: see the server above. `tower-otel-init` does all of that in one line. A
//! span that a filter hides still hands the
//! context its request arrived with to the requests made inside.
//!
//! What no `tracing` field can say goes through the OpenTelemetry context of the span: a late name,
//! links, captured headers, the [`SpanHandle`]. Without an OpenTelemetry layer they are not there.
//! With `with_context_activation(false)` no context is current either, and the client's own span
//! is not the one that is propagated.
//!
//! tracing-opentelemetry marks a span as failed when an event of level `ERROR` is written in it, a
//! handler's log line included, and leaves no `error.type`. Keep events away from it
//! (`filter_fn(|metadata| metadata.is_span())`) if the status is to be the exchange's alone.
//!
//! With [`.tracer_provider(&provider)`](TraceLayer::tracer_provider) they are OpenTelemetry spans,
//! opened directly: no subscriber is needed, the end of a span is the start plus the time that
//! metrics measure, the scope names this crate, its version and the schema, and nobody's log line
//! changes the status. The attributes and the ends are the same.
//!
//! With `.recorder(&recorder)` (feature `record`) a request leaves a compact record behind, and a
//! thread makes spans of such records and exports them. It is the cheapest kind for the request.
//! Attributes and ends are the same again, and what handlers do to the span is kept; but there are
//! no span processors, the exporter is the only one to see spans. Choose
//!
//! - `tracing` spans where log lines are to belong to them;
//! - `.tracer_provider(..)` where one provider, with its processors, is to have all spans;
//! - `.recorder(..)` where the layer's spans are exported by themselves and every microsecond
//!   counts.
//!
//! # Features
//!
//! None is on by default. `record` is the recorder, and brings opentelemetry_sdk, crossbeam-queue and futures-executor. `axum`, `connect-info`, `hyper-util`, `reqwest`, `reqwest-middleware`,
//! `tonic` and `tower` are those of [`tower_otel_core`].
//!
//! [tower]: https://docs.rs/tower
//! [HTTP conventions]: https://opentelemetry.io/docs/specs/semconv/http/http-spans/
//! [gRPC conventions]: https://opentelemetry.io/docs/specs/semconv/rpc/grpc/
//! [stands for]: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md

#![cfg_attr(docsrs, feature(doc_cfg))]

mod attributes;
mod backend;
mod exception;
mod exchange;
mod grpc;
mod header_capture;
mod layer;
mod opt_in;
mod parent;
mod request;
mod span_handle;
mod span_name_cache;
mod state;
mod string_cache;

#[cfg(feature = "recorder")]
pub use backend::RecorderBackend;
pub use backend::{AnyBackend, SpanBackend, TracerBackend, TracingBackend};
pub use exchange::TraceExchange;
pub use layer::TraceLayer;
pub use opt_in::OptIn;
pub use span_handle::SpanHandle;
#[doc(inline)]
pub use tower_otel_core::{Filter, Hosts, HttpOptions, Kind, Route, RouteLayer, RouteSlot};
#[doc(inline)]
pub use tower_otel_propagate::{Propagation, RemoteParent};
#[cfg(feature = "recorder")]
#[doc(inline)]
pub use tower_otel_recorder::Recorder;
#[doc(inline)]
pub use tower_otel_semconv::{KnownMethods, SensitiveKeys, TrustedProxies, rpc::StatusAttribute};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
