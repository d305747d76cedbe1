//! Which attempt at a request this is.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use http::Extensions;

/// Counts the attempts at one request, as an extension that its clones share.
///
/// Put it into a request before the layer that retries. Each attempt that is observed further in
/// counts one up, and says so in `http.request.resend_count`.
///
/// ```
/// use tower_otel_core::Attempts;
///
/// let request = http::Request::get("/").extension(Attempts::default()).body(())?;
/// let again = request.clone();
/// assert_eq!(Attempts::begin(request.extensions()), None);
/// assert_eq!(Attempts::begin(again.extensions()), Some(1));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Attempts(Arc<AtomicU32>);

impl Attempts {
    /// There was one that nobody counted.
    #[cfg(feature = "reqwest-middleware")]
    pub(crate) fn after_one() -> Self {
        Self(Arc::new(AtomicU32::new(1)))
    }

    /// Counts an attempt, and returns how many there were before it: nothing for the first one,
    /// and where nobody counts.
    pub fn begin(extensions: &Extensions) -> Option<u32> {
        let before = extensions.get::<Self>()?.0.fetch_add(1, Ordering::Relaxed);
        Some(before).filter(|before| *before > 0)
    }
}
