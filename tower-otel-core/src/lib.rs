//! A tower layer that observes HTTP exchanges. It calls an observer when an exchange starts, when its response
//! head arrives, and exactly once when it ends.
//!
//! Use this crate to write your own layer. [`tower-otel-trace`] (spans), [`tower-otel-metrics`] (RED metrics)
//! and [`tower-otel-propagate`] (trace context) are built on it. Without features, the crate depends on no
//! async runtime and on neither `tracing` nor OpenTelemetry.
//!
//! # An observer
//!
//! A layer has one [`Observe`]. Each request has one [`Exchange`]. [`observe`] returns the layer:
//!
//! ```
//! use std::time::{Duration, Instant};
//! use tower::{Layer, service_fn};
//! use tower_otel_core::{End, Exchange, Kind, Observe, RequestInfo, ResponseHead, observe};
//!
//! #[derive(Clone)]
//! struct SlowRequests;
//!
//! struct Started {
//!     path: String,
//!     at: Instant,
//! }
//!
//! impl Observe for SlowRequests {
//!     type Exchange = Started;
//!
//!     fn start(&self, request: &RequestInfo<'_>, at: Instant) -> Started {
//!         Started { path: request.target(Kind::Server).path.to_owned(), at }
//!     }
//! }
//!
//! impl Exchange for Started {
//!     type Entered<'a> = ();
//!
//!     fn enter(&mut self) {}
//!
//!     fn response(&mut self, _response: &dyn ResponseHead) {}
//!
//!     fn end(&mut self, end: End<'_>, at: Instant) {
//!         if at.duration_since(self.at) > Duration::from_secs(1) {
//!             eprintln!("slow: {} {end:?}", self.path);
//!         }
//!     }
//! }
//!
//! let service = service_fn(|_: http::Request<String>| async {
//!     Ok::<_, std::io::Error>(http::Response::new(String::from("hello")))
//! });
//! let service = observe(SlowRequests).layer(service);
//! # fn is_a_service<S: tower::Service<http::Request<String>>>(_: S) {}
//! # is_a_service(service);
//! ```
//!
//! # When an exchange ends
//!
//! [`Exchange::end`] is called exactly once, at the time of the event:
//!
//! | event | end |
//! |---|---|
//! | the inner service panics in `call`, or its future while it is polled or dropped | [`End::Panicked`] |
//! | a filter or another function of the application panics | [`End::Panicked`] |
//! | the inner service returns an error | [`End::Failed`] |
//! | the response future is dropped before it is ready | [`End::Cancelled`] |
//! | the response is `101`, or `2xx` to a `CONNECT` | [`End::Upgraded`], when the head arrives |
//! | the response is to a `HEAD`, or is `1xx`, `204` or `304`, or its body is empty | [`End::Complete`], when the head arrives |
//! | the body yields its last frame (`is_end_stream`), trailers, or `None` | [`End::Complete`] |
//! | the body yields an error, or ends before all bytes of its exact size or `Content-Length`, unless its trailers have the status of a failed gRPC call | [`End::Failed`] |
//! | the body panics while it is polled or dropped | [`End::Panicked`] |
//! | the body is dropped after all bytes of its exact size or `Content-Length` | [`End::Complete`] |
//! | the body is dropped before that | [`End::Aborted`]; [`End::Complete`] for a [long-lived stream](#long-lived-streams) |
//!
//! # Long-lived streams
//!
//! A response is a long-lived stream if the length of its body is unknown, and its `Content-Type` is `text/event-stream` or its
//! extensions contain [`LongLived`]. The handler adds the extension. To add it to all responses of an axum route, use
//! `Router::route_layer` with `axum::middleware::map_response`. Long-lived streams differ from other responses:
//!
//! | | other responses | long-lived streams |
//! |---|---|---|
//! | the client disconnects, or the server drops the body at its shutdown | aborted; an error on a server | no error; a gRPC call is `CANCELLED` |
//! | the body fails or panics | an error | an error |
//! | duration in the metrics | to the end of the body | to the response head |
//! | span | to the end of the body | to the end of the body |
//! | gauge of open streams | not counted | counted |
//!
//! The exchange of an upgrade, for example to WebSocket, ends when the response head arrives. [`LongLived::run`] observes the
//! connection that follows.
//!
//! # Changes to the service
//!
//! The layer does not change the error type, the readiness or the request body. The response body has another type, with the
//! frames, `size_hint` and `is_end_stream` of the inner body. The response head changes only if an option of an observer adds a
//! header, such as `server-timing`. The layer may add extensions to a request: the [`RouteSlot`], and extensions of observers,
//! such as the handle of a span.
//!
//! The layer does not panic. If a filter or another function of the application panics in `call`, the returned future panics when
//! it is polled, so that the worker of a `tower::buffer` continues. If such a function panics later, the panic continues from
//! there.
//!
//! # Features
//!
//! No feature is enabled by default. Each feature adds support for the types of one library:
//!
//! | feature | adds |
//! |---|---|
//! | `axum` | `MatchedPath` as the route, `OriginalUri` as the target of a received request, `axum::Error` |
//! | `connect-info` | `ConnectInfo` as the address of the peer; enables `axum`, and axum's own feature `tokio` |
//! | `hyper-util` | `Error` of hyper-util's pooled client, its `HttpInfo` as the address of the peer, `hyper::Error` |
//! | `reqwest` | `reqwest::Client` as a tower service, with `reqwest::Request`, `Response` and `Error`, and `send_with` of its request builder; enables `hyper-util` |
//! | `reqwest-middleware` | `into_middleware()`, which converts a layer into middleware of a `ClientWithMiddleware`; enables `reqwest` |
//! | `tonic` | `tonic::Status`, the causes of `tonic::transport::Error`, and `TcpConnectInfo` as the address of the peer; enables `hyper-util` |
//! | `tower` | the errors `Elapsed` of tower's timeout and `Overloaded` of its load shedding |
//!
//! [`tower-otel-trace`]: https://docs.rs/tower-otel-trace
//! [`tower-otel-metrics`]: https://docs.rs/tower-otel-metrics
//! [`tower-otel-propagate`]: https://docs.rs/tower-otel-propagate

#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "reqwest")]
mod adapt;
mod additions;
mod attempts;
mod body;
mod embedded_ipv4;
mod end;
mod exchange_guard;
mod filter;
mod foreign;
mod future;
mod grpc;
mod head;
mod host_identity;
mod hosts;
mod joined_exchange;
mod known_headers;
mod layer;
mod long_lived;
mod observe;
mod options;
mod peer;
mod request_info;
mod response;
mod route;
mod route_layer;
mod route_slot;
mod service;
mod spare_boxes;
mod start;
mod tuple;
mod unwinding;

#[cfg(feature = "reqwest")]
pub use adapt::RequestBuilderExt;
pub use attempts::Attempts;
pub use body::ResponseBody;
pub use end::{End, Failure};
pub use filter::Filter;
pub use grpc::{GrpcCall, GrpcOutcome};
pub use head::{RequestHead, ResponseHead};
pub use hosts::Hosts;
pub use known_headers::KnownHeaders;
pub use layer::{ObserveLayer, observe};
pub use long_lived::LongLived;
pub use observe::{Exchange, Observe};
pub use options::HttpOptions;
pub use peer::{LocalAddr, PeerAddr};
pub use request_info::RequestInfo;
pub use route::Route;
pub use route_layer::RouteLayer;
pub use route_slot::RouteSlot;
pub use service::Observed;
#[doc(inline)]
pub use tower_otel_semconv::{Kind, Target};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
