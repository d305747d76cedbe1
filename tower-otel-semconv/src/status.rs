//! When a status code is an error, and how it is written.
//!
//! See [HTTP spans, status](https://opentelemetry.io/docs/specs/semconv/http/http-spans/#status).

use super::OTHER;
use crate::Kind;

/// Whether a status ends the exchange with an error.
///
/// `4xx` is the client's mistake: an error where it was received, none where it was sent. `5xx`, and every number
/// outside `100..=599`, is an error at both ends.
///
/// ```
/// use tower_otel_semconv::{Kind, status};
///
/// assert!(status::is_error(Kind::Client, 404));
/// assert!(!status::is_error(Kind::Server, 404));
/// assert!(status::is_error(Kind::Server, 500));
/// ```
#[must_use]
pub fn is_error(kind: Kind, status: u16) -> bool {
    match status {
        100..=399 => false,
        400..=499 => match kind {
            Kind::Server => false,
            Kind::Client => true,
        },
        _ => true,
    }
}

/// The value of `error.type` a status calls for; `None` where it is no error.
#[must_use]
pub fn error_type(kind: Kind, status: u16) -> Option<&'static str> {
    is_error(kind, status).then(|| status_text(status))
}

/// A status as text, without allocating: `"503"`. A number that cannot be a status (outside `100..=999`) is
/// `_OTHER`.
#[must_use]
pub fn status_text(status: u16) -> &'static str {
    usize::from(status)
        .checked_sub(FIRST)
        .and_then(|index| CODES.get(index * 3..index * 3 + 3))
        .unwrap_or(OTHER)
}

const FIRST: usize = 100;

/// `"100101102…999"`, cut in threes.
static CODES: &str = match std::str::from_utf8(&DIGITS) {
    Ok(codes) => codes,
    Err(_) => "",
};

static DIGITS: [u8; 900 * 3] = digits();

// Evaluated by the compiler, so an index out of bounds would be an error there and not in anyone's request.
#[allow(clippy::indexing_slicing)]
const fn digits() -> [u8; 900 * 3] {
    let mut digits = [b'0'; 900 * 3];
    let mut index = 0;
    while index < 900 {
        let code = index + FIRST;
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
    fn a_client_error_is_an_error_only_to_the_client() {
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
    fn a_status_nobody_can_interpret_is_an_error() {
        for status in [0, 1, 99, 600, 999, 1000, u16::MAX] {
            assert!(
                is_error(Server, status) && is_error(Client, status),
                "{status}"
            );
        }
    }

    #[test]
    fn every_status_is_written_as_its_three_digits() {
        for status in 100..=999 {
            assert_eq!(status_text(status), status.to_string());
        }
    }

    #[test]
    fn a_number_that_is_no_status_has_no_digits() {
        for status in [0, 99, 1000, u16::MAX] {
            assert_eq!(status_text(status), "_OTHER");
        }
    }

    #[test]
    fn only_an_error_has_an_error_type() {
        assert_eq!(error_type(Server, 503), Some("503"));
        assert_eq!(error_type(Server, 404), None);
        assert_eq!(error_type(Client, 404), Some("404"));
        assert_eq!(error_type(Client, 200), None);
    }
}
