//! Which request methods are known by name; every other one is `_OTHER`.
//!
//! A method is whatever token the client typed. As a metric label or in a span's name it would let a stranger make
//! as many series as he has words, so the conventions keep a list.
//!
//! See [HTTP spans](https://opentelemetry.io/docs/specs/semconv/http/http-spans/), `http.request.method`.

use std::sync::Arc;

use http::Method;

pub use super::OTHER;

/// The variable that replaces the known methods: a comma-separated list.
pub const KNOWN_METHODS_VARIABLE: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";

/// The methods recorded by name.
///
/// By default the nine of RFC 9110 and RFC 5789 and `QUERY`. An application with methods of its own (WebDAV's
/// `PROPFIND`, say) replaces the list; it does not add to it. Comparison is exact and case-sensitive: `get` is not
/// `GET`. A clone costs at most a reference count.
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
    /// Exactly these methods and no other. An empty list knows none.
    pub fn new<I>(methods: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Box<str>>,
    {
        Self(Some(methods.into_iter().map(Into::into).collect()))
    }

    /// What [`KNOWN_METHODS_VARIABLE`] says, or the default when it is unset, empty or not UTF-8.
    #[must_use]
    pub fn from_env() -> Self {
        std::env::var(KNOWN_METHODS_VARIABLE)
            .map_or_else(|_| Self::default(), |list| Self::parse(&list))
    }

    /// Reads a comma-separated list. Blanks around a name and empty entries are ignored; a list without a single
    /// name is the default, because a variable set to nothing means unset to OpenTelemetry.
    #[must_use]
    pub fn parse(list: &str) -> Self {
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

    /// The method's name if it is known, else `None`: record [`OTHER`], and the raw token in
    /// `http.request.method_original`.
    #[must_use]
    pub fn name<'m>(&self, method: &'m Method) -> Option<&'m str> {
        match &self.0 {
            None => standard(method),
            Some(names) => {
                let name = method.as_str();
                names.iter().any(|known| **known == *name).then_some(name)
            }
        }
    }
}

/// The method's name as a static string if it is one of the ten known by default.
#[must_use]
pub fn standard(method: &Method) -> Option<&'static str> {
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
            assert_eq!(standard(&method(token)), Some(token));
        }
    }

    #[test]
    fn a_method_in_another_case_is_another_method() {
        for token in ["get", "Get", "PURGE", "PROPFIND", "GETT"] {
            assert_eq!(
                KnownMethods::default().name(&method(token)),
                None,
                "{token}"
            );
        }
    }

    #[test]
    fn an_override_replaces_the_default_list() {
        let known = KnownMethods::parse(" PROPFIND ,,GET");
        assert_eq!(known.name(&method("PROPFIND")), Some("PROPFIND"));
        assert_eq!(known.name(&Method::GET), Some("GET"));
        assert_eq!(known.name(&Method::POST), None);
        assert_eq!(known.name(&method("propfind")), None);
    }

    #[test]
    fn an_empty_variable_leaves_the_defaults() {
        for list in ["", " ", ",", " , ,"] {
            assert_eq!(
                KnownMethods::parse(list).name(&Method::POST),
                Some("POST"),
                "{list:?}"
            );
        }
    }

    #[test]
    fn an_empty_list_in_code_knows_none() {
        assert_eq!(KnownMethods::new::<[&str; 0]>([]).name(&Method::GET), None);
    }
}
