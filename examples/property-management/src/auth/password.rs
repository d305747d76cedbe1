//! Passwords, which nobody keeps.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use aws_lc_rs::{pbkdf2, rand};
use tokio::{sync::Semaphore, task, time};
use tower_otel_propagate::in_current_context;

use crate::{BoxError, problem::Problem};

const ALGORITHM: pbkdf2::Algorithm = pbkdf2::PBKDF2_HMAC_SHA512;

/// As OWASP advises for PBKDF2 with SHA-512.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(210_000).unwrap();

/// Hashing is meant to be expensive, and so is bounded: an attack on the login must not be one on
/// everything else.
const AT_ONCE: usize = 2;
const PATIENCE: Duration = Duration::from_secs(5);

/// Hashes passwords and knows them again.
#[derive(Clone)]
pub(crate) struct Passwords(Arc<Semaphore>);

impl Default for Passwords {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Passwords {
    /// `salt$hash`, in hexadecimal digits.
    pub(crate) async fn hash(&self, password: String) -> Result<String, Problem> {
        self.expensive(move || {
            let mut salt = [0; 16];
            rand::fill(&mut salt)?;
            let mut hash = [0; 32];
            pbkdf2::derive(ALGORITHM, ITERATIONS, &salt, password.as_bytes(), &mut hash);
            Ok(format!("{}${}", hex(&salt), hex(&hash)))
        })
        .await
    }

    /// Whether it is the password of this hash. Without a hash it takes the same time to say no, so
    /// that nobody learns who is a user here.
    pub(crate) async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, Problem> {
        self.expensive(move || {
            let known = hash.as_deref().and_then(|hash| {
                let (salt, hash) = hash.split_once('$')?;
                Some((unhex(salt)?, unhex(hash)?))
            });
            let is_known = known.is_some();
            let (salt, hash) = known.unwrap_or((vec![0; 16], vec![0; 32]));
            let password = password.as_bytes();
            let same = pbkdf2::verify(ALGORITHM, ITERATIONS, &salt, password, &hash).is_ok();
            Ok(is_known && same)
        })
        .await
    }

    async fn expensive<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, BoxError> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = time::timeout(PATIENCE, Arc::clone(&self.0).acquire_owned());
        let Ok(Ok(turn)) = turn.await else {
            return Err(Problem::unavailable("too many sign in at this time"));
        };
        let done = task::spawn_blocking(in_current_context(move || {
            let done = work();
            drop(turn);
            done
        }));
        done.await
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
    async fn a_password_is_known_again_and_no_other_is() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct".into()).await.unwrap();
        assert!(!hash.contains("correct"));
        let knows = |word: &str, hash: Option<&String>| {
            let (word, hash) = (word.to_owned(), hash.cloned());
            let passwords = passwords.clone();
            async move { passwords.verify(word, hash).await.unwrap() }
        };
        assert!(knows("correct", Some(&hash)).await);
        assert!(!knows("wrong", Some(&hash)).await);
        assert!(!knows("", None).await);
        assert!(!knows("correct", Some(&"no hash".to_owned())).await);
    }
}
