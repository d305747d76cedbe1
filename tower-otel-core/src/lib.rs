//! Observes HTTP exchanges: the traits [`Observe`] and [`Exchange`], the layer that calls them, and
//! [`RequestInfo`], the request that they read.
//!
//! The layers of the suite are built on this crate: [`tower-otel-trace`] for spans,
//! [`tower-otel-metrics`] for RED metrics, [`tower-otel-propagate`] for trace context. Use them to
//! observe a service, and this crate to write a layer of your own. It depends on no runtime, and on
//! neither `tracing` nor OpenTelemetry.
//!
//! # An observer
//!
//! One [`Observe`] for a signal, one [`Exchange`] for a request:
//!
//! ```
//! use std::time::Instant;
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
//!         if at.duration_since(self.at).as_secs() > 1 {
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
//! Exactly once, whatever happens, and at the moment it happens:
//!
//! | what happens | the end |
//! |---|---|
//! | the inner service panics in `call`, the future while polled or dropped | [`End::Panicked`] |
//! | a filter or another function of the application panics | [`End::Panicked`] |
//! | the inner service returns an error | [`End::Failed`] |
//! | the future is dropped before its response | [`End::Cancelled`] |
//! | the response is `101`, or `2xx` to a `CONNECT` | [`End::Upgraded`], at the head |
//! | the response is to a `HEAD`, or is `1xx`, `204` or `304`, or its body is at its end already | [`End::Complete`], at the head |
//! | the body yields its last frame (`is_end_stream`), trailers, or `None` | [`End::Complete`] |
//! | the body yields an error, or ends before all bytes of its exact size or `Content-Length` | [`End::Failed`] |
//! | the body panics while polled or dropped | [`End::Panicked`] |
//! | the body is dropped with all bytes of its exact size or `Content-Length` seen | [`End::Complete`] |
//! | the body is dropped before that | [`End::Aborted`]; [`End::Complete`] if the response is a stream that is meant to last |
//!
//! # Streams that are meant to last
//!
//! A response is meant to last if the length of its body is not known, and its `Content-Type` is `text/event-stream` or its
//! extensions contain [`LongLived`]. A handler adds the extension, or axum's `Router::route_layer` with
//! `map_response` for a route. Streams differ from other responses:
//!
//! - A client that leaves is no error: it is how most streams end. So is a server that drops the stream at its shutdown. An
//!   error or a panic of the body stays one. A gRPC call keeps its own rules: a client that leaves is `CANCELLED`.
//! - The duration in the metrics is that of the head, because a day is no latency. The span lasts until the end.
//! - The metrics count it as open.
//!
//! An upgrade, such as that to WebSocket, ends at its head. [`LongLived::run`] observes the connection that follows.
//!
//! # What does not change
//!
//! The error type, readiness, the body of the request, and of the response everything but the type
//! of its body. The frames, `size_hint` and `is_end_stream` are those of the inner body. Extensions
//! may be added to a request: the [`RouteSlot`], and what an observer inserts, such as the handle of
//! its span.
//!
//! Nothing here panics. Filters and functions that are given to a layer are called while the request
//! is served: if one panics in `call`, the returned future panics when it is polled, so that the worker of a
//! `tower::buffer` goes on. If one panics later, the request panics there.
//!
//! # Features
//!
//! None is on by default. Each adds support for the types of one library:
//!
//! | feature | supported |
//! |---|---|
//! | `axum` | `MatchedPath` as the route, `OriginalUri` as the target a server received, `axum::Error` |
//! | `connect-info` | `axum` and its `ConnectInfo`, which axum has only with its own feature `tokio` |
//! | `hyper-util` | `Error` and `HttpInfo` of hyper-util's pooled client, `hyper::Error` |
//! | `reqwest` | `reqwest::Request`, `Response` and `Error`: `reqwest::Client` as a tower service, and `send_with` of its builder; includes `hyper-util`, on which it is built |
//! | `reqwest-middleware` | `reqwest`, and `into_middleware()` for the chain of a `ClientWithMiddleware` |
//! | `tonic` | `tonic::Status`, the causes of `tonic::transport::Error`, and `TcpConnectInfo`; includes `hyper-util`, on which it is built |
//! | `tower` | `Elapsed`, the time-out of tower, and `Overloaded`, its load shedding |
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
