//! Password hashing.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use aws_lc_rs::{pbkdf2, rand};
use tokio::{sync::Semaphore, task, time};
use tower_otel_propagate::in_current_context;

use crate::{BoxError, problem::Problem};

const ALGORITHM: pbkdf2::Algorithm = pbkdf2::PBKDF2_HMAC_SHA512;

/// The number of iterations that OWASP recommends for PBKDF2 with SHA-512.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(210_000).unwrap();

/// The maximum number of concurrent hashes. It bounds the CPU time that a password attack can use.
const MAX_CONCURRENT: usize = 2;

/// The maximum wait for a free place to hash.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Hashes and verifies passwords.
#[derive(Clone)]
pub(crate) struct PasswordHasher(Arc<Semaphore>);

impl Default for PasswordHasher {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_CONCURRENT)))
    }
}

impl PasswordHasher {
    /// Returns `salt$hash` in hexadecimal digits.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Problem> {
        self.run_blocking(move || {
            let mut salt = [0; 16];
            rand::fill(&mut salt)?;
            let mut hash = [0; 32];
            pbkdf2::derive(ALGORITHM, ITERATIONS, &salt, password.as_bytes(), &mut hash);
            Ok(format!("{}${}", hex(&salt), hex(&hash)))
        })
        .await
    }

    /// Returns whether the password matches the hash. Without a hash it returns `false` after the
    /// same time, so that clients cannot find out which users exist.
    pub(crate) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, Problem> {
        self.run_blocking(move || {
            let parsed = hash.as_deref().and_then(|hash| {
                let (salt, hash) = hash.split_once('$')?;
                Some((unhex(salt)?, unhex(hash)?))
            });
            let is_parsed = parsed.is_some();
            let (salt, hash) = parsed.unwrap_or((vec![0; 16], vec![0; 32]));
            let password = password.as_bytes();
            let matches = pbkdf2::verify(ALGORITHM, ITERATIONS, &salt, password, &hash).is_ok();
            Ok(is_parsed && matches)
        })
        .await
    }

    async fn run_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = time::timeout(MAX_WAIT, Arc::clone(&self.0).acquire_owned());
        let Ok(Ok(permit)) = permit.await else {
            return Err(Problem::unavailable("too many logins at this time"));
        };
        let result = task::spawn_blocking(in_current_context(move || {
            let result = work();
            drop(permit);
            result
        }));
        result
            .await
            .map_err(BoxError::from)
            .flatten()
            .map_err(|_| Problem::internal())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<_>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    digits?
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_correct_password_is_verified() {
        let passwords = PasswordHasher::default();
        let hash = passwords.hash("correct".into()).await.unwrap();
        assert!(!hash.contains("correct"));
        let verify = |word: &str, hash: Option<&String>| {
            let (word, hash) = (word.to_owned(), hash.cloned());
            let passwords = passwords.clone();
            async move { passwords.verify(word, hash).await.unwrap() }
        };
        assert!(verify("correct", Some(&hash)).await);
        assert!(!verify("wrong", Some(&hash)).await);
        assert!(!verify("", None).await);
        assert!(!verify("correct", Some(&"no hash".to_owned())).await);
    }
}
