//! The number of attempts of a request.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use http::Extensions;

/// A request extension that counts the attempts of a request. Clones of the request share the counter.
///
/// Insert it into the request outside the layer that retries. The trace layer of a client increments the counter for each
/// attempt. It records the number of earlier attempts as `http.request.resend_count` of the attempt's span
/// ([specification](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-request-retries-and-redirects)).
///
/// ```
/// use tower_otel_core::Attempts;
///
/// let request = http::Request::get("/").extension(Attempts::default()).body(())?;
/// // The layer that retries sends a clone, which has the same counter.
/// let retry = request.clone();
/// # assert_eq!(Attempts::begin(request.extensions()), None);
/// # assert_eq!(Attempts::begin(retry.extensions()), Some(1));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<AtomicU32>);

impl Attempts {
    /// Creates a counter with one attempt already counted.
    #[cfg(feature = "reqwest-middleware")]
    pub(crate) fn with_one_attempt() -> Self {
        Self(Arc::new(AtomicU32::new(1)))
    }

    /// Counts an attempt and returns the number of earlier attempts.
    ///
    /// Returns `None` for the first attempt, and if the extensions contain no counter.
    #[doc(hidden)]
    pub fn begin(extensions: &Extensions) -> Option<u32> {
        let before = extensions.get::<Self>()?.0.fetch_add(1, Ordering::Relaxed);
        Some(before).filter(|before| *before > 0)
    }
}
