//! Attributes of error values.

use std::{
    error::Error,
    fmt::{self, Debug, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use tower_otel_semconv::attribute::{EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE};

use crate::{buffer::AttributeBuffer, texts::TextRange};

/// The maximum number of causes that are recorded. A chain may be endless.
const MAX_CAUSES: usize = 32;

/// Formats the `Display` text of an error.
struct Message<'a>(&'a (dyn Error + 'static));

/// Formats the causes of an error, one per line.
struct Causes<'a>(&'a (dyn Error + 'static));

/// Adds the message as `key` and as `exception.message`, and the causes as `exception.stacktrace`. Returns the message if it
/// fits in the limits.
///
/// See [exceptions](https://opentelemetry.io/docs/specs/semconv/registry/attributes/exception/).
pub(super) fn write(
    attributes: &mut AttributeBuffer,
    key: &'static str,
    error: &(dyn Error + 'static),
) -> Option<TextRange> {
    let message = attributes.texts().store_debug(&Message(error))?;
    attributes.range(key, message);
    attributes.range(EXCEPTION_MESSAGE, message);
    let has_cause = catch_unwind(AssertUnwindSafe(|| error.source().is_some()));
    if has_cause.unwrap_or(false) {
        attributes.debug(EXCEPTION_STACKTRACE, &Causes(error));
    }
    Some(message)
}

impl Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Debug for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cause = self.0.source();
        for n in 0..MAX_CAUSES {
            let Some(error) = cause else { break };
            if n > 0 {
                f.write_char('\n')?;
            }
            write!(f, "caused by: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
