//! The request methods that are recorded by name. Other methods are recorded as `_OTHER`.
//!
//! A client can send any token as a method. The list bounds the number of metric series and span names.
//!
//! See [HTTP spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/), `http.request.method`.

use std::sync::Arc;

use http::Method;

/// The environment variable that replaces the known methods: a comma-separated list.
const KNOWN_METHODS_VARIABLE: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";

/// The methods that are recorded by name.
///
/// Default: the nine methods of RFC 9110 and RFC 5789, and `QUERY`. An application that serves other methods, such as
/// `PROPFIND` of WebDAV, needs a list of its own. Methods are case-sensitive: `get` is not `GET`. Cloning is cheap.
///
/// See [HTTP spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/), `http.request.method`.
///
/// ```
/// use http::Method;
/// use tower_otel_semconv::{KnownMethods, OTHER};
///
/// let known = KnownMethods::default();
/// assert_eq!(known.name(&Method::GET), Some("GET"));
///
/// let purge = Method::from_bytes(b"PURGE")?;
/// assert_eq!(known.name(&purge).unwrap_or(OTHER), "_OTHER");
/// assert_eq!(KnownMethods::new(["GET", "PURGE"]).name(&purge), Some("PURGE"));
/// # Ok::<(), http::method::InvalidMethod>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct KnownMethods(Option<Arc<[Box<str>]>>);

impl KnownMethods {
    /// Creates a list of exactly these methods; the defaults are not included. With an empty list every method is unknown.
    pub fn new<I>(methods: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Box<str>>,
    {
        Self(Some(methods.into_iter().map(Into::into).collect()))
    }

    /// Reads the list from `OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS`.
    ///
    /// Returns the default if the variable is unset, empty or not UTF-8.
    #[must_use]
    pub fn from_env() -> Self {
        std::env::var(KNOWN_METHODS_VARIABLE)
            .map_or_else(|_| Self::default(), |list| Self::parse(&list))
    }

    /// Parses a comma-separated list. Whitespace around a name and empty entries are ignored.
    ///
    /// Returns the default if the list has no name, because OpenTelemetry treats an empty variable as unset.
    fn parse(list: &str) -> Self {
        let mut names = list
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .peekable();
        if names.peek().is_none() {
            Self::default()
        } else {
            Self::new(names)
        }
    }

    /// Returns the name of a known method, or `None` for an unknown method.
    ///
    /// An unknown method is recorded as [`OTHER`](crate::OTHER). `http.request.method_original` then has the method as sent.
    #[must_use]
    #[inline]
    pub fn name<'m>(&self, method: &'m Method) -> Option<&'m str> {
        match &self.0 {
            None => standard_method(method),
            Some(_) => {
                let name = method.as_str();
                self.has(name).then_some(name)
            }
        }
    }

    /// Returns the name of a method that is both known and known by default.
    #[doc(hidden)]
    #[must_use]
    #[inline]
    pub fn standard_name(&self, method: &Method) -> Option<&'static str> {
        let name = standard_method(method)?;
        (self.0.is_none() || self.has(name)).then_some(name)
    }

    /// Returns whether the list contains a name.
    fn has(&self, name: &str) -> bool {
        let mut names = self.0.iter().flat_map(|names| names.iter());
        names.any(|known| **known == *name)
    }
}

/// Returns the name of a method, if it is known by default.
#[inline]
fn standard_method(method: &Method) -> Option<&'static str> {
    Some(match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        Method::QUERY => "QUERY",
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, missing_docs)]
mod tests {
    use super::*;

    fn method(token: &str) -> Method {
        Method::from_bytes(token.as_bytes()).unwrap()
    }

    #[test]
    fn ten_methods_are_known_by_default() {
        for token in [
            "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE",
        ] {
            assert_eq!(KnownMethods::default().name(&method(token)), Some(token));
            assert_eq!(standard_method(&method(token)), Some(token));
        }
    }

    #[test]
    fn methods_are_case_sensitive() {
        for token in ["get", "Get", "PURGE", "PROPFIND", "GETT"] {
            let known = KnownMethods::default();
            assert_eq!(known.name(&method(token)), None, "{token}");
        }
    }

    #[test]
    fn a_list_replaces_the_default() {
        let known = KnownMethods::parse(" PROPFIND ,,GET");
        assert_eq!(known.name(&method("PROPFIND")), Some("PROPFIND"));
        assert_eq!(known.name(&Method::GET), Some("GET"));
        assert_eq!(known.name(&Method::POST), None);
        assert_eq!(known.name(&method("propfind")), None);
    }

    #[test]
    fn an_empty_variable_means_the_default() {
        for list in ["", " ", ",", " , ,"] {
            let known = KnownMethods::parse(list);
            assert_eq!(known.name(&Method::POST), Some("POST"), "{list:?}");
        }
    }

    #[test]
    fn an_empty_list_in_code_knows_no_method() {
        assert_eq!(KnownMethods::new::<[&str; 0]>([]).name(&Method::GET), None);
    }
}
