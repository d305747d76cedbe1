//! A rule of a sampler: the ratio of the traces whose local root matches some requests.

use opentelemetry::{KeyValue, Value};
use tower_otel_semconv::attribute;

/// The maximum number of rules of a sampler.
pub(crate) const MAX_RULES: usize = 64;
/// The maximum length of [`SamplingRule::requests`], in bytes.
const MAX_LENGTH: usize = 512;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SamplingRule {
    /// A method, a route, or both with a space between them.
    pub(crate) requests: String,
    pub(crate) ratio: f64,
}

impl SamplingRule {
    pub(crate) const INVALID: &'static str = "does not name requests (expected a method in capital \
        letters, a route that starts with a slash, or both with a space between them, of 512 bytes at \
        most, without commas)";

    pub(crate) fn new(requests: &str, ratio: f64) -> Self {
        Self {
            requests: requests.to_owned(),
            ratio,
        }
    }

    pub(crate) fn is_valid(&self) -> bool {
        let (method, route) = self.parts();
        let is_method = |method: &str| {
            let is_capital = |letter: char| letter.is_ascii_uppercase() || letter == '_';
            !method.is_empty()
                && method
                    .chars()
                    .all(|letter| is_capital(letter) || letter == '-')
        };
        let is_route = |route: &str| {
            let is_excluded =
                |letter: char| letter == ',' || letter.is_whitespace() || letter.is_control();
            route.starts_with('/') && !route.contains(is_excluded)
        };
        self.requests.len() <= MAX_LENGTH
            && (method.is_some() || route.is_some())
            && method.is_none_or(is_method)
            && route.is_none_or(is_route)
    }

    /// Returns the method and the route.
    fn parts(&self) -> (Option<&str>, Option<&str>) {
        match self.requests.split_once(' ') {
            Some((method, route)) => (Some(method), Some(route)),
            None if self.requests.starts_with('/') => (None, Some(&self.requests)),
            None => (Some(&self.requests), None),
        }
    }

    /// Returns whether a span with these attributes matches the requests.
    pub(crate) fn matches(&self, attributes: &[KeyValue]) -> bool {
        let (method, route) = self.parts();
        let has = |key: &str, expected: &str| {
            let mut found = attributes.iter().filter(|found| found.key.as_str() == key);
            found.any(
                |found| matches!(&found.value, Value::String(text) if text.as_str() == expected),
            )
        };
        let has_route = |route: &str| {
            let grpc_method = route.strip_prefix('/').unwrap_or(route);
            has(attribute::HTTP_ROUTE, route)
                || has(attribute::URL_PATH, route)
                || has(attribute::RPC_METHOD, grpc_method)
        };
        method.is_none_or(|method| has(attribute::HTTP_REQUEST_METHOD, method))
            && route.is_none_or(has_route)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_a_method_a_route_or_both() {
        for (requests, expected) in [
            ("GET", true),
            ("_OTHER", true),
            ("/", true),
            ("/users/{id}", true),
            ("GET /users/{id}", true),
            ("/a=b", true),
            ("", false),
            (" ", false),
            ("get", false),
            ("GET ", false),
            ("GET users", false),
            ("GET  /users", false),
            ("/a b", false),
            ("/a,b", false),
            ("/a\n", false),
        ] {
            assert_eq!(
                SamplingRule::new(requests, 0.5).is_valid(),
                expected,
                "{requests:?}"
            );
        }
        let long = |length: usize| SamplingRule::new(&format!("/{}", "a".repeat(length - 1)), 1.0);
        assert!(long(MAX_LENGTH).is_valid() && !long(MAX_LENGTH + 1).is_valid());
    }

    #[test]
    fn a_rule_matches_what_it_names() {
        let span = [
            KeyValue::new("http.request.method", "GET"),
            KeyValue::new("url.path", "/users/7"),
            KeyValue::new("http.route", "/users/{id}"),
        ];
        let call = [KeyValue::new("rpc.method", "pkg.Users/Get")];
        for (requests, of_span, of_call) in [
            ("GET", true, false),
            ("POST", false, false),
            ("/users/{id}", true, false),
            ("/users/7", true, false),
            ("/users", false, false),
            ("GET /users/{id}", true, false),
            ("POST /users/{id}", false, false),
            ("/pkg.Users/Get", false, true),
        ] {
            let rule = SamplingRule::new(requests, 1.0);
            assert_eq!(rule.matches(&span), of_span, "{requests}");
            assert_eq!(rule.matches(&call), of_call, "{requests}");
        }
    }
}
