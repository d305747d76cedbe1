//! The OpenTelemetry semantic conventions for HTTP and gRPC: names as constants, rules as pure functions.
//!
//! Each function computes one attribute, or a part of one, from plain data: a method, a header map, a status code, a peer
//! address. No function panics. A function that returns an `Option` returns `None` for invalid input; the caller then omits
//! the attribute. Results borrow from the input or are `&'static str` where possible.
//!
//! This crate depends only on [`http`]. It starts no spans and records no metrics.
//!
//! | rule | item |
//! |---|---|
//! | names of attributes and metrics | [`attribute`], [`metric`] |
//! | version of the conventions | [`SCHEMA_URL`] |
//! | method and span name | [`KnownMethods`], [`span_name`] |
//! | client, scheme and host behind proxies | [`TrustedProxies`], [`Forwarded`], [`Endpoint`] |
//! | requested server and scheme | [`HostPort`], [`server_scheme`] |
//! | protocol version and transport | [`protocol_version`], [`transport`] |
//! | synthetic requests of bots and tests | [`synthetic_type`] |
//! | redacted query parameters | [`SensitiveKeys`] |
//! | errors and their `error.type` | [`error`] |
//! | gRPC calls | [`rpc`] |
//!
//! # Example
//!
//! The attributes of a request that reaches a server through one trusted proxy:
//!
//! ```
//! use http::Request;
//! use tower_otel_semconv::{self as semconv, Kind, KnownMethods, SensitiveKeys, Target, TrustedProxies};
//!
//! let request = Request::get("/users/7?page=2&sig=s3cr3t")
//!     .header("host", "10.0.0.5:8080")
//!     .header("x-forwarded-for", "6.6.6.6, 203.0.113.7")
//!     .header("x-forwarded-proto", "https")
//!     .header("x-forwarded-host", "api.example.com")
//!     .body(())?;
//!
//! let target = Target::of(request.uri());
//! let method = KnownMethods::default().name(request.method());
//! assert_eq!(semconv::span_name(method, Some("/users/{id}")), "GET /users/{id}");
//!
//! let peer = "10.0.0.1:51234".parse::<std::net::SocketAddr>()?;
//! let forwarded = TrustedProxies::hops(1).resolve(request.headers(), Some(peer.into()));
//! // The proxy wrote the last entry. The client may have written the one before it.
//! assert_eq!(forwarded.client.map(|c| c.address.to_string()).as_deref(), Some("203.0.113.7"));
//! assert_eq!(semconv::server_scheme(&forwarded, None, &target), "https");
//! assert_eq!(forwarded.host.as_deref(), Some("api.example.com"));
//!
//! let query = request.uri().query().unwrap_or_default();
//! assert_eq!(SensitiveKeys::default().query(query), "page=2&sig=REDACTED");
//!
//! assert_eq!(semconv::error::of_status(Kind::Server, 404), None);
//! assert_eq!(semconv::error::of_status(Kind::Server, 503), Some("503"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod attribute;
mod cidr;
mod conventions;
mod endpoint;
pub mod error;
mod forwarded;
mod forwarded_element;
mod forwarded_view;
mod header_list;
mod headers;
mod host_port;
mod kind;
mod known_methods;
mod known_scheme;
mod last_host;
pub mod metric;
mod protocol;
mod proxy_headers;
mod proxy_trust;
pub mod rpc;
mod sensitive_keys;
mod server;
mod server_scheme;
mod span_name;
mod status;
mod target;
mod trusted_proxies;
mod user_agent;

pub use cidr::InvalidCidr;
pub use conventions::{OTHER, SCHEMA_URL};
pub use endpoint::Endpoint;
pub use forwarded::Forwarded;
pub use headers::{content_length, single_header};
pub use host_port::HostPort;
pub use kind::Kind;
pub use known_methods::KnownMethods;
pub use known_scheme::known_scheme;
pub use protocol::{protocol_version, transport};
pub use sensitive_keys::{REDACTED, SensitiveKeys};
pub use server::named_server;
pub use server_scheme::server_scheme;
pub use span_name::span_name;
pub use target::Target;
pub use trusted_proxies::{ForwardedHeaders, TrustedProxies};
pub use user_agent::synthetic_type;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
