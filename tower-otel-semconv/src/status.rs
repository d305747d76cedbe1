//! HTTP status codes that are errors, and their `error.type`.
//!
//! See [HTTP spans, status](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status).

use crate::conventions::OTHER;
use crate::kind::Kind;

/// Returns `true` if a status code makes the exchange an error.
fn is_error(kind: Kind, status: u16) -> bool {
    match status {
        100..=399 => false,
        400..=499 => match kind {
            Kind::Server => false,
            Kind::Client => true,
        },
        _ => true,
    }
}

/// Returns `error.type` for a status code: the code as text, such as `"503"`. Returns `None` if it is not an error.
///
/// `4xx` is an error on the client that receives it, but not on the server that sends it. `5xx` and numbers outside
/// `100..=599` are errors on both. Returns `_OTHER` for a number outside `100..=999`. Does not allocate.
///
/// ```
/// use tower_otel_semconv::{Kind, error};
///
/// assert_eq!(error::of_status(Kind::Client, 404), Some("404"));
/// assert_eq!(error::of_status(Kind::Server, 404), None);
/// assert_eq!(error::of_status(Kind::Server, 500), Some("500"));
/// ```
#[must_use]
pub fn of_status(kind: Kind, status: u16) -> Option<&'static str> {
    is_error(kind, status).then(|| code_text(status))
}

/// Returns a status code as text, or `_OTHER` outside `100..=999`.
fn code_text(status: u16) -> &'static str {
    usize::from(status)
        .checked_sub(FIRST_CODE)
        .and_then(|index| CODES.get(index * 3..index * 3 + 3))
        .unwrap_or(OTHER)
}

const FIRST_CODE: usize = 100;

/// The digits of all codes, three per code: `"100101102...999"`.
static CODES: &str = match std::str::from_utf8(&DIGITS) {
    Ok(codes) => codes,
    Err(_) => "",
};

static DIGITS: [u8; 900 * 3] = digits();

// Evaluated at compile time: an index out of bounds is a compile error.
#[allow(clippy::indexing_slicing)]
const fn digits() -> [u8; 900 * 3] {
    let mut digits = [b'0'; 900 * 3];
    let mut index = 0;
    while index < 900 {
        let code = index + FIRST_CODE;
        digits[index * 3] += (code / 100) as u8;
        digits[index * 3 + 1] += (code / 10 % 10) as u8;
        digits[index * 3 + 2] += (code % 10) as u8;
        index += 1;
    }
    digits
}

#[cfg(test)]
#[allow(missing_docs)]
mod tests {
    use super::*;
    use Kind::{Client, Server};

    #[test]
    fn a_client_error_is_an_error_only_for_the_client() {
        for (status, server, client) in [
            (100, false, false),
            (101, false, false),
            (200, false, false),
            (304, false, false),
            (399, false, false),
            (400, false, true),
            (404, false, true),
            (499, false, true),
            (500, true, true),
            (599, true, true),
        ] {
            assert_eq!(is_error(Server, status), server, "server {status}");
            assert_eq!(is_error(Client, status), client, "client {status}");
        }
    }

    #[test]
    fn a_number_outside_100_to_599_is_an_error() {
        for status in [0, 1, 99, 600, 999, 1000, u16::MAX] {
            assert!(is_error(Server, status), "{status}");
            assert!(is_error(Client, status), "{status}");
        }
    }

    #[test]
    fn a_status_code_is_written_as_three_digits() {
        for status in 100..=999 {
            assert_eq!(code_text(status), status.to_string());
        }
    }

    #[test]
    fn a_number_outside_100_to_999_is_other() {
        for status in [0, 99, 1000, u16::MAX] {
            assert_eq!(code_text(status), "_OTHER");
        }
    }

    #[test]
    fn only_an_error_has_an_error_type() {
        assert_eq!(of_status(Server, 503), Some("503"));
        assert_eq!(of_status(Server, 404), None);
        assert_eq!(of_status(Client, 404), Some("404"));
        assert_eq!(of_status(Client, 200), None);
    }
}
