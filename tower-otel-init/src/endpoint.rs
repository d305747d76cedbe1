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

/// Returns scheme, host and port of a text that may be an invalid URL. `REDACTED` replaces everything else, also the path, which
/// may contain a token.
pub(crate) fn redact(text: &str) -> String {
    let start = text.find("://").map_or(0, |colon| colon + "://".len());
    let (scheme, rest) = text.split_at(start);
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if path.contains('@') {
        // A password with a reserved character looks like a path or a query.
        return format!("{scheme}REDACTED");
    }
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("REDACTED@{host}"),
        None => authority.to_owned(),
    };
    let path = match path {
        "" | "/" | "/v1/traces" | "/v1/metrics" | "/v1/logs" => path,
        _ => "/REDACTED",
    };
    format!("{scheme}{authority}{path}")
}

/// Returns a text with all URLs in it reduced to scheme, host and port.
pub(crate) fn redact_urls(text: &str) -> String {
    let mut parts = text.split("://");
    let mut redacted = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        // A password may contain commas and brackets, so a URL ends only at a character that no URL contains.
        let end = part.find([' ', '\t', '\n', '"', '<', '>']);
        let (url, after) = part.split_at(end.unwrap_or(part.len()));
        // Errors of reqwest have the URL in brackets.
        let closing = ["):", ")"].into_iter().find(|end| url.ends_with(end));
        let url = url.trim_end_matches([')', ':']);
        redacted.extend(["://", host(url), closing.unwrap_or_default(), after]);
    }
    redacted
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
    fn user_information_path_and_query_are_redacted_even_of_an_invalid_url() {
        for (text, expected) in [
            ("http://localhost:4317/", "http://localhost:4317/"),
            ("http://h:4318/v1/traces", "http://h:4318/v1/traces"),
            ("http://h:4318/secret/v1/traces", "http://h:4318/REDACTED"),
            ("localhost:4317", "localhost:4317"),
            ("http://a b", "http://a b"),
            (
                "https://me:secret@host:x/in",
                "https://REDACTED@host:x/REDACTED",
            ),
            ("me:secret@host", "REDACTED@host"),
            ("https://host:x?key=secret", "https://host:x/REDACTED"),
            ("https://me:se/cret@host", "https://REDACTED"),
            ("https://me:se?cret@host", "https://REDACTED"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }

    #[test]
    fn urls_in_an_error_are_reduced_to_scheme_host_and_port() {
        for (text, expected) in [
            ("", ""),
            ("no collector", "no collector"),
            (
                "for url (http://me:secret@h:4318/v1): timeout",
                "for url (http://h:4318): timeout",
            ),
            ("(http://h:4318/v1)", "(http://h:4318)"),
            (
                "a http://a@b@h and grpc://me@h?q=1",
                "a http://h and grpc://h",
            ),
            ("\"http://h/secret\"", "\"http://h\""),
        ] {
            assert_eq!(redact_urls(text), expected);
        }
    }
}
