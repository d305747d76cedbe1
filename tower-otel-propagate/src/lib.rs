//! Propagates the trace context of [tower] clients and servers with W3C Trace Context, level 2.
//!
//! # A complete client
//!
//! ```no_run
//! use tower::{Service, ServiceBuilder, ServiceExt};
//! use tower_otel_propagate::PropagateLayer;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let mut client = ServiceBuilder::new()
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
//! # What is sent
//!
//! [`PropagateLayer`] writes the OpenTelemetry context that is current when a request is sent:
//! `traceparent`, and `tracestate` if it has members. No global propagator has to be set. Without a current span it writes no
//! trace headers. If the current `tracing` span has no OpenTelemetry context, a warning with the possible causes is logged
//! once.
//!
//! | to | use |
//! |---|---|
//! | send no trace headers to third parties | [`PropagateLayer::filter`] (default: headers to all hosts); see [redirects](PropagateLayer#redirects) |
//! | exclude a single request | the request extension `tower_otel_propagate::NoPropagation` |
//! | send B3, Jaeger or X-Ray headers | [`PropagateLayer::propagator`] (default: W3C Trace Context) |
//! | send baggage, by key and host | [`PropagateLayer::baggage`] (default: no baggage is sent) |
//!
//! # What is read
//!
//! [`extract`] reads both headers of an incoming request. `TraceLayer::server()` of `tower-otel-trace` does this by default;
//! [`RemoteParent`] selects what it does with the result. Invalid headers are ignored, as the [specification] requires.
//!
//! [`W3cPropagator`] and [`BaggagePropagator`] provide the same codecs as `TextMapPropagator`, for other libraries.
//!
//! # Other threads and message queues
//!
//! A context is current on one thread only.
//!
//! | to pass a context to | use |
//! |---|---|
//! | a task | `tokio::spawn(work().with_current_context())`, with `opentelemetry::context::FutureExt` |
//! | a blocking task or a thread | `spawn_blocking(in_current_context(\|\| work()))`: see [`in_current_context`] |
//! | a channel | `sender.send(WithContext::current(job))` and `received.run(\|job\| ..)`: see [`WithContext`] |
//! | a message queue or a database | [`context_to_map`] and [`context_from_map`] |
//!
//! # Features
//!
//! No feature is enabled by default.
//!
//! | feature | enables |
//! |---|---|
//! | `reqwest` | the layer around a `reqwest::Client` |
//! | `reqwest-middleware` | `reqwest`, and [`into_middleware`](tower_otel_core::ObserveLayer::into_middleware) of the layer that [`observe`] returns |
//!
//! [tower]: https://docs.rs/tower
//! [specification]: https://www.w3.org/TR/trace-context-2/

#![cfg_attr(docsrs, feature(doc_cfg))]

mod baggage;
mod baggage_policy;
mod extract;
mod future;
mod header_carrier;
mod inject;
mod layer;
mod located_headers;
mod missing_context;
mod no_propagation;
mod overflow_tracestate;
mod propagation;
mod propagator;
mod remote_parent;
mod sync;
mod text_map;
#[doc(hidden)]
pub mod w3c;
mod with_context;

pub use baggage::extract_baggage;
pub use baggage_policy::BaggagePolicy;
#[doc(hidden)]
pub use extract::ExtractedContext;
pub use extract::extract;
pub use inject::inject;
#[doc(hidden)]
pub use layer::Propagate;
pub use layer::PropagateLayer;
pub use no_propagation::NoPropagation;
pub use propagation::Propagation;
pub use propagator::{BaggagePropagator, W3cPropagator};
pub use remote_parent::RemoteParent;
pub use text_map::{context_from_map, context_to_map};
#[doc(inline)]
pub use tower_otel_core::{Filter, Hosts, RequestHead, observe};
pub use with_context::{WithContext, in_current_context};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
