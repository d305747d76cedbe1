//! Who is asking.

mod password;
mod token;

pub(crate) use password::Passwords;
pub(crate) use token::{Audience, Keys};

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderMap, header, request::Parts},
};

use crate::{instruments, problem::Problem};

/// A user who is signed in.
pub(crate) struct SignedIn {
    pub(crate) user: String,
}

/// The token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl SignedIn {
    /// Whose token it is. Who is refused is counted, by the reason, and told nothing of it.
    pub(crate) fn by(keys: &Keys, token: Option<&str>) -> Result<Self, Problem> {
        let refused = |reason| {
            instruments::auth_failure(reason);
            Problem::unauthorized("a valid token is needed: POST /login")
        };
        let token = token.ok_or_else(|| refused("missing_token"))?;
        let user = keys.verify(Audience::Api, token).map_err(refused)?;
        Ok(Self { user })
    }
}

impl<S> FromRequestParts<S> for SignedIn
where
    S: Send + Sync,
    Keys: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Self::by(&Keys::from_ref(state), bearer(&parts.headers))
    }
}
