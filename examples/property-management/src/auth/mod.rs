//! Authentication: passwords, tokens, and the user of a request.

mod password;
mod token;

pub(crate) use password::PasswordHasher;
pub(crate) use token::{Audience, Keys};

use axum::{
    extract::{FromRequestParts, Request},
    http::{Extensions, HeaderMap, header, request::Parts},
};

use crate::{instruments, problem::Problem};

/// The user of a request with a valid token.
pub(crate) struct AuthenticatedUser {
    pub(crate) id: String,
}

/// Returns the bearer token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The verified token in the extensions of a request: the user, or the reason why the token is invalid. The token is verified
/// once, for the layers and for the handler.
#[derive(Clone)]
pub(crate) struct VerifiedToken(Result<String, &'static str>);

impl VerifiedToken {
    /// Verifies the token of a request, if it has one.
    pub(crate) fn insert(keys: &Keys, audience: Audience, request: &mut Request) {
        if let Some(token) = bearer(request.headers()) {
            let verified = Self(keys.verify(audience, token));
            request.extensions_mut().insert(verified);
        }
    }

    /// Returns whether a request has a valid token.
    pub(crate) fn is_valid(extensions: &Extensions) -> bool {
        extensions
            .get::<Self>()
            .is_some_and(|verified| verified.0.is_ok())
    }
}

impl AuthenticatedUser {
    /// Returns the user of a token. Counts a failure by its reason, which is not sent to the
    /// client.
    pub(crate) fn from_token(keys: &Keys, token: Option<&str>) -> Result<Self, Problem> {
        let token = token.ok_or("missing_token");
        Self::from_verified(token.and_then(|token| keys.verify(Audience::Api, token)))
    }

    fn from_verified(verified: Result<String, &'static str>) -> Result<Self, Problem> {
        match verified {
            Ok(id) => Ok(Self { id }),
            Err(reason) => {
                instruments::auth_failure(reason);
                Err(Problem::unauthorized(
                    "a valid token is required: POST /login",
                ))
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AuthenticatedUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let verified = parts.extensions.get::<VerifiedToken>();
        Self::from_verified(verified.map_or(Err("missing_token"), |verified| verified.0.clone()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use axum::{body::Body, extract::Request};

    use super::*;
    use crate::config::Secret;

    async fn user(request: Request) -> Option<String> {
        let (mut parts, _) = request.into_parts();
        let user = AuthenticatedUser::from_request_parts(&mut parts, &()).await;
        user.ok().map(|user| user.id)
    }

    fn request(token: &str) -> Request {
        let request = Request::builder().header(header::AUTHORIZATION, format!("Bearer {token}"));
        request.body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn a_token_is_verified_once_for_the_layers_and_the_handler() {
        let keys = Keys::new(&Secret::random().unwrap());
        let token = keys.sign(Audience::Api, "user").unwrap();
        let mut valid = request(&token);
        VerifiedToken::insert(&keys, Audience::Api, &mut valid);
        // Without the header, the token cannot be verified again, so the stored result is used.
        valid.headers_mut().clear();
        assert!(VerifiedToken::is_valid(valid.extensions()));
        assert_eq!(user(valid).await.as_deref(), Some("user"));
    }

    #[tokio::test]
    async fn a_request_without_a_valid_token_has_no_user() {
        let keys = Keys::new(&Secret::random().unwrap());
        let other = keys.sign(Audience::Reality, "user").unwrap();
        for token in ["", "invalid", &other] {
            let mut invalid = request(token);
            VerifiedToken::insert(&keys, Audience::Api, &mut invalid);
            assert!(!VerifiedToken::is_valid(invalid.extensions()));
            assert_eq!(user(invalid).await, None);
        }
        let valid = keys.sign(Audience::Api, "user").unwrap();
        assert_eq!(user(request(&valid)).await, None, "nothing has verified it");
    }
}
