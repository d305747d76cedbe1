//! User and password of an endpoint.

use http::{HeaderValue, Uri};

use crate::otlp::{base64, percent::percent_decode};

/// Returns the endpoint without user and password, and the `authorization` header with them, if there are any.
///
/// Over gRPC they would be sent in `:authority`, which does not authenticate the client.
pub(crate) fn split(endpoint: &str, uri: &Uri) -> (String, Option<HeaderValue>) {
    let authority = uri.authority().map(|authority| authority.as_str());
    let Some((userinfo, _)) = authority.and_then(|authority| authority.rsplit_once('@')) else {
        return (endpoint.to_owned(), None);
    };
    let plain = endpoint.replacen(&format!("{userinfo}@"), "", 1);
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    let mut credentials = percent_decode(user.as_bytes());
    credentials.push(b':');
    credentials.extend(percent_decode(password.as_bytes()));
    let value = HeaderValue::try_from(format!("Basic {}", base64::encode(&credentials)));
    let value = value.ok().map(|mut value| {
        value.set_sensitive(true);
        value
    });
    (plain, value)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_become_a_header() {
        for (endpoint, plain, header) in [
            ("http://host/x@y", "http://host/x@y", None),
            ("http://me@host", "http://host", Some("Basic bWU6")),
            (
                "http://me:a:b@host:1/in",
                "http://host:1/in",
                Some("Basic bWU6YTpi"),
            ),
            (
                "http://me:%40@[::1]/in",
                "http://[::1]/in",
                Some("Basic bWU6QA=="),
            ),
        ] {
            let (found, value) = split(endpoint, &endpoint.parse().unwrap());
            assert_eq!(found, plain);
            assert!(value.iter().all(HeaderValue::is_sensitive));
            assert_eq!(value.as_ref().map(|value| value.to_str().unwrap()), header);
        }
    }
}
