//! Errors of reqwest.

use tower_otel_semconv::error;

/// Returns the class of an error of reqwest: its own timeout, or a refused redirect.
pub(super) fn classify(source: &reqwest::Error) -> Option<&'static str> {
    if source.is_timeout() {
        return Some(error::TIMEOUT);
    }
    source.is_redirect().then_some(error::REDIRECT)
}
