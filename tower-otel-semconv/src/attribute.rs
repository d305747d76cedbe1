//! Names of the attributes that the HTTP and gRPC layers record.
//!
//! The constants are defined here because `opentelemetry-semantic-conventions` puts half of them behind a feature and
//! has its own release schedule. A test compares the two, and `.ci/run conventions` compares the constants with the
//! released conventions.
//!
//! An attribute marked "opt-in" is recorded only if an option of a layer enables it.
//!
//! See the [registry of attributes](https://opentelemetry.io/docs/specs/semconv/registry/attributes/), which has a page for
//! each first part of a name, such as `http`.

use http::HeaderName;

/// The address of the client behind all trusted proxies, without port (string).
pub const CLIENT_ADDRESS: &str = "client.address";
/// The port of the client; opt-in (int).
pub const CLIENT_PORT: &str = "client.port";

/// The path of a source file (string).
pub const CODE_FILE_PATH: &str = "code.file.path";
/// The number of a line in the source file (int).
pub const CODE_LINE_NUMBER: &str = "code.line.number";

/// The class of error that ended the exchange; absent on success (string, low cardinality).
pub const ERROR_TYPE: &str = "error.type";

/// The message of an exception (string).
pub const EXCEPTION_MESSAGE: &str = "exception.message";
/// The stack trace of an exception, in the format of the language (string).
pub const EXCEPTION_STACKTRACE: &str = "exception.stacktrace";
/// The type of an exception (string).
pub const EXCEPTION_TYPE: &str = "exception.type";

/// The size of the request body on the wire; opt-in (int, bytes).
pub const HTTP_REQUEST_BODY_SIZE: &str = "http.request.body.size";
/// The prefix of request header attributes; see [`request_header`] (string array).
const HTTP_REQUEST_HEADER: &str = "http.request.header";
/// The method if it is known, or `_OTHER` (string).
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
/// The method as sent, if it differs from [`HTTP_REQUEST_METHOD`] (string).
pub const HTTP_REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
/// The number of earlier attempts; absent on the first attempt (int).
pub const HTTP_REQUEST_RESEND_COUNT: &str = "http.request.resend_count";
/// The size of the response body on the wire; opt-in (int, bytes).
pub const HTTP_RESPONSE_BODY_SIZE: &str = "http.response.body.size";
/// The prefix of response header attributes; see [`response_header`] (string array).
const HTTP_RESPONSE_HEADER: &str = "http.response.header";
/// The status code that was sent or received; absent without a response (int).
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
/// The template of the matched route; absent if no route matched (string, low cardinality).
pub const HTTP_ROUTE: &str = "http.route";

/// The local address of the connection; opt-in (string).
pub const NETWORK_LOCAL_ADDRESS: &str = "network.local.address";
/// The local port of the connection; opt-in (int).
pub const NETWORK_LOCAL_PORT: &str = "network.local.port";
/// The address of the peer of the connection, which may be a proxy (string).
pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
/// The port of the peer of the connection; only recorded with its address (int).
pub const NETWORK_PEER_PORT: &str = "network.peer.port";
/// The HTTP version, such as `1.1` or `2` (string).
pub const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
/// The transport: `tcp`, `udp`, `quic`, `unix`; opt-in (string).
pub const NETWORK_TRANSPORT: &str = "network.transport";

/// The called method as `package.Service/Method`, or `_OTHER` (string).
pub const RPC_METHOD: &str = "rpc.method";
/// The method as called, if it differs from [`RPC_METHOD`] (string).
pub const RPC_METHOD_ORIGINAL: &str = "rpc.method_original";
/// The prefix of attributes for headers of a gRPC request; opt-in (string array).
const RPC_REQUEST_HEADER: &str = "rpc.request.header";
/// The prefix of attributes for headers of a gRPC response; opt-in (string array).
const RPC_RESPONSE_HEADER: &str = "rpc.response.header";
/// The prefix of attributes for trailers of a gRPC response; opt-in (string array).
const RPC_RESPONSE_TRAILER: &str = "rpc.response.trailer";
/// The name of a call's status in conventions up to 1.44.0, such as `NOT_FOUND`; replaced by [`RPC_STATUS_CODE`] (string).
pub const RPC_RESPONSE_STATUS_CODE: &str = "rpc.response.status_code";
/// The name of a call's status in conventions since 1.45.0, such as `NOT_FOUND`; the layers record it by default (string).
pub const RPC_STATUS_CODE: &str = "rpc.status_code";
/// The RPC system: `grpc` (string).
pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";

/// The requested server: a name or an address, without port (string).
pub const SERVER_ADDRESS: &str = "server.address";
/// The port of the requested server; only recorded with its address (int).
pub const SERVER_PORT: &str = "server.port";

/// The full URL of a client's request, with secrets redacted (string).
pub const URL_FULL: &str = "url.full";
/// The path of the URL (string).
pub const URL_PATH: &str = "url.path";
/// The query without its `?`, with secrets redacted (string).
pub const URL_QUERY: &str = "url.query";
/// The scheme of the client's request, such as `https` (string).
pub const URL_SCHEME: &str = "url.scheme";
/// The template of a client's URL (string, low cardinality).
pub const URL_TEMPLATE: &str = "url.template";

/// The value of the `User-Agent` header (string).
pub const USER_AGENT_ORIGINAL: &str = "user_agent.original";
/// The type of a synthetic request: `bot` or `test`; opt-in (string).
pub const USER_AGENT_SYNTHETIC_TYPE: &str = "user_agent.synthetic.type";

/// Returns the attribute name of a request header. The value of the attribute is an array of the header's values.
///
/// Allocates. Call it once per captured header, when the layer is created.
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

/// Returns the attribute name of a response header; see [`request_header`].
#[must_use]
pub fn response_header(name: &HeaderName) -> String {
    format!("{HTTP_RESPONSE_HEADER}.{name}")
}

/// Returns the attribute name of a header of a gRPC request; see [`request_header`].
#[must_use]
pub fn rpc_request_header(name: &HeaderName) -> String {
    format!("{RPC_REQUEST_HEADER}.{name}")
}

/// Returns the attribute name of a header of a gRPC response; see [`request_header`].
#[must_use]
pub fn rpc_response_header(name: &HeaderName) -> String {
    format!("{RPC_RESPONSE_HEADER}.{name}")
}

/// Returns the attribute name of a trailer of a gRPC response; see [`request_header`].
#[must_use]
pub fn rpc_response_trailer(name: &HeaderName) -> String {
    format!("{RPC_RESPONSE_TRAILER}.{name}")
}

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;
    use opentelemetry_semantic_conventions::attribute as published;

    #[test]
    fn names_match_the_published_conventions() {
        macro_rules! assert_published {
            ($($name:ident)*) => { $(assert_eq!($name, published::$name);)* };
        }
        assert_published! {
            CLIENT_ADDRESS
            CLIENT_PORT
            CODE_FILE_PATH
            CODE_LINE_NUMBER
            ERROR_TYPE
            EXCEPTION_MESSAGE
            EXCEPTION_STACKTRACE
            EXCEPTION_TYPE
            HTTP_REQUEST_BODY_SIZE
            HTTP_REQUEST_HEADER
            HTTP_REQUEST_METHOD
            HTTP_REQUEST_METHOD_ORIGINAL
            HTTP_REQUEST_RESEND_COUNT
            HTTP_RESPONSE_BODY_SIZE
            HTTP_RESPONSE_HEADER
            HTTP_RESPONSE_STATUS_CODE
            HTTP_ROUTE
            NETWORK_LOCAL_ADDRESS
            NETWORK_LOCAL_PORT
            NETWORK_PEER_ADDRESS
            NETWORK_PEER_PORT
            NETWORK_PROTOCOL_VERSION
            NETWORK_TRANSPORT
            RPC_METHOD
            RPC_METHOD_ORIGINAL
            RPC_RESPONSE_STATUS_CODE
            RPC_SYSTEM_NAME
            SERVER_ADDRESS
            SERVER_PORT
            URL_FULL
            URL_PATH
            URL_QUERY
            URL_SCHEME
            URL_TEMPLATE
            USER_AGENT_ORIGINAL
            USER_AGENT_SYNTHETIC_TYPE
        }
    }

    #[test]
    fn names_missing_from_the_published_crate_are_spelled_out() {
        assert_eq!(RPC_STATUS_CODE, "rpc.status_code");
        assert_eq!(RPC_REQUEST_HEADER, "rpc.request.header");
        assert_eq!(RPC_RESPONSE_HEADER, "rpc.response.header");
        assert_eq!(RPC_RESPONSE_TRAILER, "rpc.response.trailer");
    }

    #[test]
    fn header_attributes_end_in_the_lower_case_name() {
        let name = HeaderName::from_bytes(b"X-Request-Id").ok();
        for (attribute, expected) in [
            (
                request_header as fn(&HeaderName) -> String,
                "http.request.header.x-request-id",
            ),
            (response_header, "http.response.header.x-request-id"),
            (rpc_request_header, "rpc.request.header.x-request-id"),
            (rpc_response_header, "rpc.response.header.x-request-id"),
            (rpc_response_trailer, "rpc.response.trailer.x-request-id"),
        ] {
            assert_eq!(name.as_ref().map(attribute).as_deref(), Some(expected));
        }
    }
}
