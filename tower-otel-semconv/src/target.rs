//! The target of a request, split into its parts.

use std::fmt;

use http::Uri;

use crate::host_port::HostPort;

/// The parts of a request target, as written.
///
/// An origin-form target (`GET /users/7`) has no scheme and no authority. On a server, use
/// [`server_scheme`](crate::server_scheme) and the `Host` header. User information is not stored, so that it cannot be recorded
/// by mistake.
///
/// ```
/// use tower_otel_semconv::Target;
///
/// let uri = http::Uri::from_static("https://me:s3cr3t@[::1]:8443/a?b=c");
/// assert_eq!(
///     Target::of(&uri),
///     Target {
///         scheme: Some("https"),
///         has_userinfo: true,
///         authority: Some("[::1]:8443"),
///         path: "/a",
///         query: Some("b=c"),
///     }
/// );
/// assert_eq!(Target::of(&uri).host(), Some("::1"));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The scheme of an absolute target. `None` for other forms.
    pub scheme: Option<&'a str>,
    /// Whether the target contains a user name or a password.
    pub has_userinfo: bool,
    /// Host and port as written, without user information.
    pub authority: Option<&'a str>,
    /// The path without query. Empty for the authority form of `CONNECT`.
    pub path: &'a str,
    /// The query without its question mark.
    pub query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Returns the parts of a URI.
    #[inline]
    pub fn of(uri: &'a Uri) -> Self {
        Self::with_authority(
            uri.scheme_str(),
            uri.authority().map(http::uri::Authority::as_str),
            uri.path(),
            uri.query(),
        )
    }

    /// Creates a target from its parts. User information is removed from the authority.
    #[doc(hidden)]
    #[must_use]
    #[inline]
    pub fn with_authority(
        scheme: Option<&'a str>,
        authority: Option<&'a str>,
        path: &'a str,
        query: Option<&'a str>,
    ) -> Self {
        let (has_userinfo, authority) = match authority.map(|text| (text, text.rsplit_once('@'))) {
            Some((_, Some((_, authority)))) => (true, Some(authority)),
            Some((authority, None)) => (false, Some(authority)),
            None => (false, None),
        };
        Self {
            scheme,
            has_userinfo,
            authority,
            path,
            query,
        }
    }

    /// Returns the host of the target, or `None` if it has no valid authority. An IPv6 address has no brackets.
    pub fn host(&self) -> Option<&'a str> {
        HostPort::parse(self.authority?).map(|server| server.host)
    }
}

impl fmt::Debug for Target<'_> {
    /// Replaces the query with `..`, because it may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("scheme", &self.scheme)
            .field("has_userinfo", &self.has_userinfo)
            .field("authority", &self.authority)
            .field("path", &self.path)
            .field("query", &self.query.map(|_| ".."))
            .finish()
    }
}
