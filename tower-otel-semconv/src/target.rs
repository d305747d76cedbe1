//! Where a request goes.

use http::Uri;

use super::host_port::HostPort;

/// The parts of a request target, as the request itself spells them.
///
/// An origin-form target (`GET /users/7`) has neither scheme nor authority: on a server these come
/// from the connection and from headers, which is for the rules in [`semconv`](crate::semconv) to
/// say. What stood in the user information is not among the parts, so that nobody writes it down
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The scheme, where the target is absolute.
    pub scheme: Option<&'a str>,
    /// Whether there was a user name, a password or both.
    pub has_userinfo: bool,
    /// Host and port as they were written, without user information.
    pub authority: Option<&'a str>,
    /// The path, without query. Empty for the authority form of `CONNECT`.
    pub path: &'a str,
    /// The query, without its question mark.
    pub query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// The parts of a URI.
    pub fn of(uri: &'a Uri) -> Self {
        Self::with_authority(
            uri.scheme_str(),
            uri.authority().map(http::uri::Authority::as_str),
            uri.path(),
            uri.query(),
        )
    }

    /// Returns the parts of a target whose authority may still contain user information, which is removed.
    #[must_use]
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

    /// The host, if the target names one: an IPv6 address without its brackets.
    pub fn host(&self) -> Option<&'a str> {
        HostPort::parse(self.authority?).map(|server| server.host)
    }
}
