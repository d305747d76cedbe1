//! Authentication: passwords, tokens, and the user of a request.

mod password;
mod token;

pub(crate) use password::PasswordHasher;
pub(crate) use token::{Audience, Keys};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
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

impl AuthenticatedUser {
    /// Returns the user of a token. Counts a failure by its reason, which is not sent to the
    /// client.
    pub(crate) fn from_token(keys: &Keys, token: Option<&str>) -> Result<Self, Problem> {
        let reject = |reason| {
            instruments::auth_failure(reason);
            Problem::unauthorized("a valid token is required: POST /login")
        };
        let token = token.ok_or_else(|| reject("missing_token"))?;
        let id = keys.verify(Audience::Api, token).map_err(reject)?;
        Ok(Self { id })
    }
}

impl<S> FromRequestParts<S> for AuthenticatedUser
where
    S: Send + Sync,
    Keys: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Self::from_token(&Keys::from_ref(state), bearer(&parts.headers))
    }
}
