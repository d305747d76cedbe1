//! Exceptions as log events.

use std::{
    fmt::Write,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tower_otel_core::{End, Failure};
use tower_otel_semconv::{self as semconv, attribute};
use tracing::Level;

use crate::{backend::fields::TARGET, text_limit::cut_string};

/// The maximum number of causes of an error that are logged.
const MAX_CAUSES: usize = 16;

/// Logs the error or the panic that ended an exchange, in the current span. A panic of the subscriber is ignored, so that the
/// caller receives the error of the exchange.
///
/// See [exceptions](https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-logs/).
pub(crate) fn log(end: End<'_>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| log_event(end))) {
        // The destructor of the payload may panic, too.
        mem::forget(panic);
    }
}

fn log_event(end: End<'_>) {
    match end {
        End::Failed(failure) => tracing::event!(
            target: TARGET,
            Level::ERROR,
            { attribute::EXCEPTION_TYPE } = failure.type_name().unwrap_or_else(|| failure.error_type()),
            { attribute::EXCEPTION_MESSAGE } = message(&failure),
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

/// The text of an error whose `Display` or `source` panics.
const PANICKED: &str = "<panicked while formatting>";

fn message(failure: &Failure<'_>) -> String {
    format_error(|text| _ = write!(text, "{}", failure.message()))
}

/// Returns the chain of causes, one per line, or `None` if there is none.
fn causes(failure: &Failure<'_>) -> Option<String> {
    let text = format_error(|text| {
        let first = failure.as_error().and_then(|error| error.source());
        for cause in std::iter::successors(first, |cause| cause.source()).take(MAX_CAUSES) {
            // Writing to a `String` fails only if the `Display` of the cause fails.
            _ = writeln!(text, "caused by: {cause}");
        }
    });
    (!text.is_empty()).then_some(text)
}

/// Calls code of an error. A panic is replaced with [`PANICKED`], so that the request does not panic.
fn format_error(write: impl FnOnce(&mut String)) -> String {
    let mut text = String::new();
    if catch_unwind(AssertUnwindSafe(|| write(&mut text))).is_err() {
        text.push_str(PANICKED);
    }
    cut_string(text)
}
