//! What the OpenTelemetry semantic conventions say about HTTP and gRPC, as data and as pure functions.
//!
//! Nothing here opens a span or counts a request. Each file answers one question about plain values (a method, a
//! header map, a status code, a peer's address), answers it for every input without panicking, and borrows or
//! returns `&'static str` wherever the answer allows. When a stranger's bytes cannot be read, the answer is absent:
//! an attribute that is missing can be noticed, one that is wrong is believed.
//!
//! | question | where |
//! |---|---|
//! | what is the attribute, the metric, the unit called? | [`attribute`], [`metric`] |
//! | which method is it, and what is the span called? | [`KnownMethods`], [`span_name`] |
//! | who asked, through which proxies, and which of them may be believed? | [`Proxies`], [`Forwarded`], [`Endpoint`] |
//! | which server and scheme was meant? | [`server`], [`server_scheme`], [`HostPort`] |
//! | which protocol was spoken? | [`protocol`] |
//! | is it a person? | [`user_agent`] |
//! | what must not be written down? | [`SensitiveKeys`] |
//! | did it fail, and how is the failure called? | [`status`], [`error`] |
//! | and when it is gRPC? | [`rpc`] |
//!
//! # Example
//!
//! What a server behind one proxy says about a request:
//!
//! ```
//! use http::Request;
//! use tower_otel_semconv::{Kind, Target};
//! use tower_otel_semconv::{self as semconv, KnownMethods, Proxies, SensitiveKeys};
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
//! let forwarded = Proxies::hops(1).believe(request.headers(), Some(peer.into()));
//! // The proxy wrote the last entry; the one before it is the client's own claim.
//! assert_eq!(forwarded.client.map(|c| c.address.to_string()).as_deref(), Some("203.0.113.7"));
//! assert_eq!(semconv::server_scheme::on_server(&forwarded, None, &target), "https");
//! let server = semconv::server::on_server(&forwarded, &target, request.headers());
//! assert_eq!(server.map(|s| s.host), Some("api.example.com"));
//!
//! let query = request.uri().query().unwrap_or_default();
//! assert_eq!(SensitiveKeys::default().query(query), "page=2&sig=REDACTED");
//!
//! assert!(!semconv::status::is_error(Kind::Server, 404));
//! assert_eq!(semconv::status::error_type(Kind::Server, 503), Some("503"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod attribute;
mod cidr;
mod endpoint;
pub mod error;
pub mod forwarded_element;
mod headers;
mod host_port;
mod kind;
mod header_list;
mod known_methods;
pub mod metric;
mod span_name;
pub mod protocol;
mod sensitive_keys;
pub mod rpc;
pub mod server_scheme;
pub mod server;
pub mod status;
mod forwarded_view;
mod target;
mod trusted_proxies;
pub mod user_agent;

pub use cidr::BadCidr;
pub use endpoint::Endpoint;
pub use headers::{content_length, only_value};
pub use host_port::{HostPort, default_port};
pub use kind::Kind;
pub use known_methods::{KnownMethods, standard as standard_method};
pub use span_name::span_name;
pub use sensitive_keys::{REDACTED, SensitiveKeys};
pub use target::Target;
pub use trusted_proxies::{Forwarded, ForwardedBy, Proxies};

/// The version of the conventions these names follow, for the instrumentation scope of a tracer or a meter.
///
/// See [telemetry schemas](https://opentelemetry.io/docs/specs/otel/schemas/).
pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// The conventions' word for a value outside the documented list, of a method, an error type or an RPC method alike.
pub const OTHER: &str = "_OTHER";
