//! The URL of a collector, and the parts of it that are shown.

use std::io;

use http::Uri;

use crate::otlp::invalid::invalid;

/// Parses the URL of a collector.
pub(crate) fn parse_endpoint(endpoint: &str) -> io::Result<Uri> {
    let is_valid = |uri: &Uri| {
        let authority = uri.authority().map(|authority| authority.as_str());
        let host_and_port = authority.and_then(|authority| authority.rsplit('@').next());
        let after_brackets = host_and_port.and_then(|host| host.rsplit(']').next());
        let has_port = after_brackets.is_some_and(|rest| rest.contains(':'));
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
            && (!has_port || uri.port_u16().is_some())
    };
    let uri = endpoint.parse().ok().filter(is_valid);
    uri.ok_or_else(|| {
        let shown = shown(endpoint);
        invalid(&format!(
            "the endpoint {shown} is not a URL (expected http:// or https://, a host, and a port if it is not the default)"
        ))
    })
}

/// Returns scheme, host and port of an endpoint. Other text is omitted, because it may be a misplaced API key.
pub(crate) fn shown(endpoint: &str) -> String {
    match endpoint.parse::<Uri>() {
        Ok(uri) if uri.scheme().is_some() && uri.host().is_some() => origin(&uri),
        _ => format!("(a text of {} characters)", endpoint.chars().count()),
    }
}

/// Returns scheme, host and port.
pub(crate) fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    match uri.port() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}
