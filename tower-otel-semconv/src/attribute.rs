//! The name of every attribute the HTTP and gRPC layers record, and of no other.
//!
//! Kept here rather than taken from `opentelemetry-semantic-conventions`: that crate stands behind a feature for half
//! of these names and follows its own release rhythm; a test compares the two.
//!
//! See the registry: [HTTP](https://opentelemetry.io/docs/specs/semconv/registry/attributes/http/),
//! [URL](https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/),
//! [network](https://opentelemetry.io/docs/specs/semconv/registry/attributes/network/),
//! [RPC](https://opentelemetry.io/docs/specs/semconv/registry/attributes/rpc/).

use http::HeaderName;

/// The client behind all believed proxies: an address without its port (string).
pub const CLIENT_ADDRESS: &str = "client.address";
/// The port of that client; opt-in (int).
pub const CLIENT_PORT: &str = "client.port";

/// The class of failure that ended the exchange; absent on success (string, low cardinality).
pub const ERROR_TYPE: &str = "error.type";

/// The text of an exception (string).
pub const EXCEPTION_MESSAGE: &str = "exception.message";
/// The stack trace of an exception, as the language prints it (string).
pub const EXCEPTION_STACKTRACE: &str = "exception.stacktrace";
/// The type of an exception (string).
pub const EXCEPTION_TYPE: &str = "exception.type";

/// The size of the request body on the wire; opt-in (int, bytes).
pub const HTTP_REQUEST_BODY_SIZE: &str = "http.request.body.size";
/// The prefix of request header attributes; see [`request_header`] (string array).
pub const HTTP_REQUEST_HEADER: &str = "http.request.header";
/// A known method, or `_OTHER` (string).
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// The method as sent, when it differs from [`HTTP_REQUEST_METHOD`] (string).
pub const HTTP_REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
/// Which resend this is: absent on the first try, then 1, 2, … (int).
pub const HTTP_REQUEST_RESEND_COUNT: &str = "http.request.resend_count";
/// The size of the response body on the wire; opt-in (int, bytes).
pub const HTTP_RESPONSE_BODY_SIZE: &str = "http.response.body.size";
/// The prefix of response header attributes; see [`response_header`] (string array).
pub const HTTP_RESPONSE_HEADER: &str = "http.response.header";
/// The status that was sent or received; absent when none was (int).
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// The template of the matched route; absent when none matched (string, low cardinality).
pub const HTTP_ROUTE: &str = "http.route";

/// This end's address on the connection; opt-in (string).
pub const NETWORK_LOCAL_ADDRESS: &str = "network.local.address";
/// This end's port on the connection; opt-in (int).
pub const NETWORK_LOCAL_PORT: &str = "network.local.port";
/// The other end's address on the connection, proxies included (string).
pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
/// The other end's port on the connection; only beside its address (int).
pub const NETWORK_PEER_PORT: &str = "network.peer.port";
/// The version that was spoken: `1.1`, `2`, `3` (string).
pub const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
/// The transport beneath: `tcp`, `udp`, `quic`, `unix`; opt-in (string).
pub const NETWORK_TRANSPORT: &str = "network.transport";

/// `package.Service/Method`, or `_OTHER` (string).
pub const RPC_METHOD: &str = "rpc.method";
/// The method as called, when it differs from [`RPC_METHOD`] (string).
pub const RPC_METHOD_ORIGINAL: &str = "rpc.method_original";
/// The prefix of request metadata attributes; opt-in (string array).
pub const RPC_REQUEST_METADATA: &str = "rpc.request.metadata";
/// The prefix of response metadata attributes; opt-in (string array).
pub const RPC_RESPONSE_METADATA: &str = "rpc.response.metadata";
/// The status of a call by name, as conventions up to 1.44.0 call it (string).
pub const RPC_RESPONSE_STATUS_CODE: &str = "rpc.response.status_code";
/// The status of a call by name, as conventions after 1.44.0 will call it (string).
pub const RPC_STATUS_CODE: &str = "rpc.status_code";
/// The RPC system: `grpc` (string).
pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";

/// The server the client meant: a name or an address, without its port (string).
pub const SERVER_ADDRESS: &str = "server.address";
/// The port the client meant; only beside its address (int).
pub const SERVER_PORT: &str = "server.port";

/// The whole URL of a client's request, without credentials (string).
pub const URL_FULL: &str = "url.full";
/// The path alone (string).
pub const URL_PATH: &str = "url.path";
/// The query without its `?`, secrets replaced (string).
pub const URL_QUERY: &str = "url.query";
/// The scheme the client used: `https` (string).
pub const URL_SCHEME: &str = "url.scheme";
/// The template a client's URL was made from (string, low cardinality).
pub const URL_TEMPLATE: &str = "url.template";

/// The `User-Agent` header (string).
pub const USER_AGENT_ORIGINAL: &str = "user_agent.original";
/// `bot` or `test`; opt-in (string).
pub const USER_AGENT_SYNTHETIC_TYPE: &str = "user_agent.synthetic.type";

/// The attribute for one request header. Its value is an array of all the header's lines.
///
/// Meant for set-up, once for each header on the allow-list: it allocates.
///
/// ```
/// use tower_otel_semconv::attribute;
///
/// let key = attribute::request_header(&http::header::CONTENT_TYPE);
/// assert_eq!(key, "http.request.header.content-type");
/// ```
#[must_use]
pub fn request_header(name: &HeaderName) -> String {
    format!("{HTTP_REQUEST_HEADER}.{name}")
}

/// The attribute for one response header; otherwise as [`request_header`].
#[must_use]
pub fn response_header(name: &HeaderName) -> String {
    format!("{HTTP_RESPONSE_HEADER}.{name}")
}

/// The attribute for one key of a gRPC request's metadata; otherwise as [`request_header`].
#[must_use]
pub fn request_metadata(name: &HeaderName) -> String {
    format!("{RPC_REQUEST_METADATA}.{name}")
}

/// The attribute for one key of a gRPC response's metadata; otherwise as [`request_header`].
#[must_use]
pub fn response_metadata(name: &HeaderName) -> String {
    format!("{RPC_RESPONSE_METADATA}.{name}")
}

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;
    use opentelemetry_semantic_conventions::attribute as theirs;

    #[test]
    fn names_are_those_of_the_published_conventions() {
        for (ours, theirs) in [
            (CLIENT_ADDRESS, theirs::CLIENT_ADDRESS),
            (CLIENT_PORT, theirs::CLIENT_PORT),
            (ERROR_TYPE, theirs::ERROR_TYPE),
            (EXCEPTION_MESSAGE, theirs::EXCEPTION_MESSAGE),
            (EXCEPTION_STACKTRACE, theirs::EXCEPTION_STACKTRACE),
            (EXCEPTION_TYPE, theirs::EXCEPTION_TYPE),
            (HTTP_REQUEST_BODY_SIZE, theirs::HTTP_REQUEST_BODY_SIZE),
            (HTTP_REQUEST_HEADER, theirs::HTTP_REQUEST_HEADER),
            (HTTP_REQUEST_METHOD, theirs::HTTP_REQUEST_METHOD),
            (
                HTTP_REQUEST_METHOD_ORIGINAL,
                theirs::HTTP_REQUEST_METHOD_ORIGINAL,
            ),
            (HTTP_REQUEST_RESEND_COUNT, theirs::HTTP_REQUEST_RESEND_COUNT),
            (HTTP_RESPONSE_BODY_SIZE, theirs::HTTP_RESPONSE_BODY_SIZE),
            (HTTP_RESPONSE_HEADER, theirs::HTTP_RESPONSE_HEADER),
            (HTTP_RESPONSE_STATUS_CODE, theirs::HTTP_RESPONSE_STATUS_CODE),
            (HTTP_ROUTE, theirs::HTTP_ROUTE),
            (NETWORK_LOCAL_ADDRESS, theirs::NETWORK_LOCAL_ADDRESS),
            (NETWORK_LOCAL_PORT, theirs::NETWORK_LOCAL_PORT),
            (NETWORK_PEER_ADDRESS, theirs::NETWORK_PEER_ADDRESS),
            (NETWORK_PEER_PORT, theirs::NETWORK_PEER_PORT),
            (NETWORK_PROTOCOL_VERSION, theirs::NETWORK_PROTOCOL_VERSION),
            (NETWORK_TRANSPORT, theirs::NETWORK_TRANSPORT),
            (RPC_METHOD, theirs::RPC_METHOD),
            (RPC_METHOD_ORIGINAL, theirs::RPC_METHOD_ORIGINAL),
            (RPC_REQUEST_METADATA, theirs::RPC_REQUEST_METADATA),
            (RPC_RESPONSE_METADATA, theirs::RPC_RESPONSE_METADATA),
            (RPC_RESPONSE_STATUS_CODE, theirs::RPC_RESPONSE_STATUS_CODE),
            (RPC_SYSTEM_NAME, theirs::RPC_SYSTEM_NAME),
            (SERVER_ADDRESS, theirs::SERVER_ADDRESS),
            (SERVER_PORT, theirs::SERVER_PORT),
            (URL_FULL, theirs::URL_FULL),
            (URL_PATH, theirs::URL_PATH),
            (URL_QUERY, theirs::URL_QUERY),
            (URL_SCHEME, theirs::URL_SCHEME),
            (URL_TEMPLATE, theirs::URL_TEMPLATE),
            (USER_AGENT_ORIGINAL, theirs::USER_AGENT_ORIGINAL),
            (USER_AGENT_SYNTHETIC_TYPE, theirs::USER_AGENT_SYNTHETIC_TYPE),
        ] {
            assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn names_newer_than_the_published_crate_are_spelled_out() {
        assert_eq!(RPC_STATUS_CODE, "rpc.status_code");
    }

    #[test]
    fn header_attributes_end_in_the_lower_case_name() {
        let name = HeaderName::from_bytes(b"X-Request-Id").ok();
        assert_eq!(
            name.as_ref().map(request_header).as_deref(),
            Some("http.request.header.x-request-id")
        );
        assert_eq!(
            name.as_ref().map(response_header).as_deref(),
            Some("http.response.header.x-request-id")
        );
        assert_eq!(
            name.as_ref().map(request_metadata).as_deref(),
            Some("rpc.request.metadata.x-request-id")
        );
        assert_eq!(
            name.as_ref().map(response_metadata).as_deref(),
            Some("rpc.response.metadata.x-request-id")
        );
    }
}
