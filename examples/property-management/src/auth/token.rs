//! JSON Web Tokens, signed with HS256.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind,
};
use serde::{Deserialize, Serialize};

use crate::{BoxError, config::Secret};

/// The service that accepts a token. A token for one service is invalid for the other.
#[derive(Clone, Copy)]
pub(crate) enum Audience {
    Api,
    Reality,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    aud: String,
    exp: u64,
}

/// Signs and verifies tokens.
#[derive(Clone)]
pub(crate) struct Keys(Arc<Inner>);

struct Inner {
    signing: EncodingKey,
    verifying: DecodingKey,
}

impl Audience {
    const fn name(self) -> &'static str {
        match self {
            Self::Api => "api-server",
            Self::Reality => "reality-server",
        }
    }

    /// Returns the lifetime of a token. A customer uses a token for an hour. A service signs a new token for each call.
    const fn lifetime(self) -> Duration {
        match self {
            Self::Api => Duration::from_secs(3600),
            Self::Reality => Duration::from_secs(60),
        }
    }
}

impl Keys {
    pub(crate) fn new(secret: &Secret) -> Self {
        let secret = secret.reveal().as_bytes();
        Self(Arc::new(Inner {
            signing: EncodingKey::from_secret(secret),
            verifying: DecodingKey::from_secret(secret),
        }))
    }

    /// Returns a signed token.
    pub(crate) fn sign(&self, audience: Audience, subject: &str) -> Result<String, BoxError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let claims = Claims {
            sub: subject.to_owned(),
            aud: audience.name().to_owned(),
            exp: (now + audience.lifetime()).as_secs(),
        };
        Ok(encode(&Header::default(), &claims, &self.0.signing)?)
    }

    /// Returns the subject of a valid token. The error is the label `reason` of `auth_failures_total`.
    pub(crate) fn verify(&self, audience: Audience, token: &str) -> Result<String, &'static str> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 5;
        validation.set_audience(&[audience.name()]);
        validation.set_required_spec_claims(&["aud", "exp", "sub"]);
        decode::<Claims>(token, &self.0.verifying, &validation)
            .map(|token| token.claims.sub)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => "expired",
                ErrorKind::InvalidSignature => "bad_signature",
                ErrorKind::InvalidAudience => "wrong_audience",
                _ => "malformed_token",
            })
    }
}
