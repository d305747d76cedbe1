//! W3C Trace Context, level 2, for [tower] clients: right by default, without set-up.
//!
//! # A whole client
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
//! # What is written
//!
//! [`PropagateLayer`] writes the OpenTelemetry context that is current when a request is sent:
//! `traceparent`, and `tracestate` if there is any. No global propagator is asked, so none can be
//! forgotten. Without a current span nothing is touched; and if that is so although `tracing` has a
//! span, which is a fault of the set-up, a warning says so, once.
//!
//! | to | use |
//! |---|---|
//! | keep trace headers from third parties | [`PropagateLayer::filter`], and mind [redirects](PropagateLayer#redirects) |
//! | keep them off a single request | [`DontPropagate`] in its extensions |
//! | speak B3, Jaeger or X-Ray | [`PropagateLayer::propagator`] |
//! | send baggage, by key and host | [`PropagateLayer::baggage`]; none leaves otherwise |
//! | hand a context to threads, channels and queues | [`carry`](mod@carry) |
//!
//! # What is read
//!
//! [`extract`] reads both headers of an incoming request; `TraceLayer::server()` of
//! `tower-otel-trace` does so by itself. Whatever is not to the letter of the [specification] is
//! taken as not there, as it demands. [`w3c`] holds the codec: total functions over bytes.
//!
//! [`W3cPropagator`] is the same as a `TextMapPropagator`, for everything else that wants one, and
//! [`BaggagePropagator`] is that for baggage.
//!
//! # Features
//!
//! None is on by default. `reqwest` and `reqwest-middleware` are those of [`tower_otel_core`].
//!
//! [tower]: https://docs.rs/tower
//! [specification]: https://www.w3.org/TR/trace-context-2/

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod baggage;
#[path = "with_context.rs"]
pub mod carry;
mod extract;
mod header_carrier;
mod layer;
mod missing_context;
mod overflow_tracestate;
mod propagation;
mod propagator;
mod remote_parent;
mod sync;
pub mod w3c;

pub use baggage::BaggagePolicy;
pub use extract::{Extracted, extract, extract_span_context, inject};
pub use layer::{DontPropagate, Propagate, PropagateLayer};
pub use propagation::Format;
pub use propagator::{BaggagePropagator, W3cPropagator};
pub use remote_parent::Trust;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
