//! Endpoint URLs: validation, and forms without credentials for messages.

pub(crate) const INVALID_URL: &str = "is not a URL (expected http:// or https:// and a host)";

/// Returns whether the text is an `http` or `https` URL with a host and, if there is one, a valid
/// port.
pub(crate) fn is_url(text: &str) -> bool {
    let Some(rest) = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
    else {
        return false;
    };
    let host = host(rest);
    !host.is_empty()
        && !host.starts_with(':')
        && !text.contains(char::is_whitespace)
        && port(host).is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Returns scheme, host and port of a valid URL, without user information, path and query.
pub(crate) fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    format!("{scheme}://{}", host(rest))
}

/// Returns the text with user information and query replaced by `REDACTED`. The text may be an
/// invalid URL.
pub(crate) fn redact(text: &str) -> String {
    let start = text.find("://").map_or(0, |colon| colon + "://".len());
    let (scheme, rest) = text.split_at(start);
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (path, query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
    if path.contains('@') || query.contains('@') {
        // A password with a reserved character looks like a path or a query.
        return format!("{scheme}REDACTED");
    }
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("REDACTED@{host}"),
        None => authority.to_owned(),
    };
    let query = if query.is_empty() { "" } else { "?REDACTED" };
    format!("{scheme}{authority}{path}{query}")
}

/// Returns host and port of a URL without its scheme.
fn host(rest: &str) -> &str {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default()
}

fn port(host: &str) -> Option<&str> {
    match host.rsplit_once(']') {
        Some((_, rest)) => rest.strip_prefix(':'),
        None => host.split_once(':').map(|(_, port)| port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_of_an_endpoint_contains_no_secret() {
        for (endpoint, expected) in [
            ("http://localhost:4317", "http://localhost:4317"),
            (
                "https://me:secret@host:4318/v1/traces?key=secret",
                "https://host:4318",
            ),
            ("https://[::1]:4318?key=secret", "https://[::1]:4318"),
        ] {
            assert_eq!(origin(endpoint), expected);
        }
    }

    #[test]
    fn user_information_and_query_are_redacted_even_of_an_invalid_url() {
        for (text, expected) in [
            ("http://localhost:4317/v1", "http://localhost:4317/v1"),
            ("localhost:4317", "localhost:4317"),
            ("http://a b", "http://a b"),
            ("https://me:secret@host:x/in", "https://REDACTED@host:x/in"),
            ("me:secret@host", "REDACTED@host"),
            ("https://host:x/in?key=secret", "https://host:x/in?REDACTED"),
            ("https://me:se/cret@host", "https://REDACTED"),
            ("https://me:se?cret@host", "https://REDACTED"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }
}
