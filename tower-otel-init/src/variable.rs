//! Variables that only this crate reads: an invalid value is an error.

use crate::env::Env;
use crate::error::InitError;

/// Returns the parsed value of such a variable, for example of `TRACES_KEEP` or `LOG_FORMAT`. Returns `None` if the variable is
/// not set.
pub(crate) fn variable<T>(
    name: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    reason: &str,
    env: &Env<'_>,
) -> Result<Option<T>, InitError> {
    let Some(value) = env.get(name) else {
        return Ok(None);
    };
    match parse(&value) {
        Some(parsed) => Ok(Some(parsed)),
        None => Err(InitError::invalid_value(name, &value, reason)),
    }
}
