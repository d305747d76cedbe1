//! The name of an HTTP span.
//!
//! See [HTTP spans, name](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name).

use std::borrow::Cow;

use crate::conventions::OTHER;

/// The word that replaces an unknown method in a span name.
const UNKNOWN_METHOD: &str = "HTTP";

/// Returns the name of an HTTP span: `{method} {target}`, or `{method}` without a target.
///
/// The target must have low cardinality: the matched route on a server, the URL template on a client, never a path. An
/// empty target is ignored. An unknown method (`None` or `_OTHER`) is written as `HTTP`. Allocates only if
/// there is a target.
///
/// See [HTTP spans, name](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#name).
///
/// ```
/// use tower_otel_semconv::span_name;
///
/// assert_eq!(span_name(Some("GET"), Some("/users/{id}")), "GET /users/{id}");
/// assert_eq!(span_name(Some("GET"), None), "GET");
/// assert_eq!(span_name(None, Some("/users/{id}")), "HTTP /users/{id}");
/// ```
#[must_use]
pub fn span_name<'a>(method: Option<&'a str>, target: Option<&str>) -> Cow<'a, str> {
    let method = method
        .filter(|m| !m.is_empty() && *m != OTHER)
        .unwrap_or(UNKNOWN_METHOD);
    match target {
        Some(target) if !target.is_empty() => Cow::Owned([method, target].join(" ")),
        _ => Cow::Borrowed(method),
    }
}

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;

    #[test]
    fn a_span_name_joins_method_and_target() {
        for (method, target, name) in [
            (Some("GET"), Some("/a/{b}"), "GET /a/{b}"),
            (Some("GET"), None, "GET"),
            (Some("GET"), Some(""), "GET"),
            (None, Some("/a"), "HTTP /a"),
            (None, None, "HTTP"),
            (Some("_OTHER"), Some("/a"), "HTTP /a"),
            (Some(""), None, "HTTP"),
        ] {
            assert_eq!(span_name(method, target), name);
        }
    }

    #[test]
    fn a_span_name_without_target_is_borrowed() {
        assert!(matches!(span_name(Some("GET"), None), Cow::Borrowed("GET")));
        assert!(matches!(span_name(None, None), Cow::Borrowed("HTTP")));
    }
}
