//! What went wrong, in its own words, as a record of the log.

use std::fmt::Write;

use tower_otel_core::{End, Failure};
use tower_otel_semconv::{self as semconv, attribute};
use tracing::{Level, field};

use crate::backend::TARGET;

/// How many causes of an error are written down.
const MOST_CAUSES: usize = 16;

/// Logs the error or the panic that ended an exchange, inside of its span.
///
/// See [exceptions](https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-logs/).
pub(crate) fn record(end: End<'_>) {
    match end {
        End::Failed(failure) => tracing::event!(
            target: TARGET,
            Level::ERROR,
            { attribute::EXCEPTION_TYPE } = failure.type_name().unwrap_or_else(|| failure.error_type()),
            { attribute::EXCEPTION_MESSAGE } = field::display(failure.message()),
            { attribute::EXCEPTION_STACKTRACE } = causes(&failure),
            "the exchange failed"
        ),
        End::Panicked => tracing::event!(
            target: TARGET,
            Level::ERROR,
            { attribute::EXCEPTION_TYPE } = semconv::error::PANIC,
            "the exchange panicked"
        ),
        _ => {}
    }
}

/// The chain of causes, one in a line; absent if there is none.
fn causes(failure: &Failure<'_>) -> Option<String> {
    let mut text = String::new();
    let first = failure.as_error().and_then(|error| error.source());
    for cause in std::iter::successors(first, |cause| cause.source()).take(MOST_CAUSES) {
        // Writing to a String cannot fail; a Display that does has its own reasons.
        let _ = writeln!(text, "caused by: {cause}");
    }
    (!text.is_empty()).then_some(text)
}
