//! Errors of reqwest-middleware.

use std::error::Error;

use tower_otel_semconv::error::chain;

/// The maximum number of causes that are read. An error may be its own cause.
const MAX_CAUSES: usize = 32;

/// Returns the error of the reqwest client that `reqwest_middleware::Error` wraps.
///
/// The wrapper is matched, because its `source` skips the wrapped error.
pub(super) fn client_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a reqwest::Error> {
    chain(error).find_map(|error| match error.downcast_ref()? {
        reqwest_middleware::Error::Reqwest(error) => Some(error),
        reqwest_middleware::Error::Middleware(error) => {
            let causes = error.chain().take(MAX_CAUSES);
            causes.filter_map(|error| error.downcast_ref()).next()
        }
    })
}
