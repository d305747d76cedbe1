//! The status of a gRPC call, in headers or trailers.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/statuscodes.md>

use std::time::Duration;

use http::HeaderMap;

use crate::{
    encoding::protobuf::{FieldValue, Malformed, fields},
    otlp::{answer::Answer, base64, error_text::server_text, percent::percent_decode},
};

#[derive(Debug)]
pub(crate) struct GrpcStatus {
    code: u16,
    message: Option<String>,
    retry_delay: Option<Duration>,
}

impl GrpcStatus {
    /// Returns the status, if the headers contain one. Invalid parts are ignored.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let code = headers.get("grpc-status")?.to_str().ok()?.parse().ok()?;
        let message = headers.get("grpc-message");
        let details = headers.get("grpc-status-details-bin");
        Some(Self {
            code,
            message: message.and_then(|text| server_text(&percent_decode(text.as_bytes()))),
            retry_delay: details
                .and_then(|details| base64::decode(details.as_bytes()))
                .and_then(|details| retry_delay(&details).ok()?),
        })
    }

    pub(crate) const fn is_ok(&self) -> bool {
        self.code == 0
    }

    /// Classifies an error by the specification of OTLP.
    ///
    /// Receivers answer `OUT_OF_RANGE` or `RESOURCE_EXHAUSTED` to a message over their limit. The specification calls
    /// `OUT_OF_RANGE` retryable, but the same message would be refused again.
    ///
    /// <https://opentelemetry.io/docs/specs/otlp/#failures>
    pub(crate) fn into_answer(self) -> Answer {
        let mut reason = format!("gRPC status {}", name(self.code));
        if let Some(message) = self.message {
            reason = format!("{reason}: {message}");
        }
        let after = self.retry_delay;
        match self.code {
            OUT_OF_RANGE | RESOURCE_EXHAUSTED if after.is_none() => Answer::TooLarge(reason),
            CANCELLED | DEADLINE_EXCEEDED | RESOURCE_EXHAUSTED | ABORTED | OUT_OF_RANGE
            | UNAVAILABLE | DATA_LOSS => Answer::Retry { reason, after },
            _ => Answer::Failed(reason),
        }
    }
}

const CANCELLED: u16 = 1;
const DEADLINE_EXCEEDED: u16 = 4;
const RESOURCE_EXHAUSTED: u16 = 8;
const ABORTED: u16 = 10;
const OUT_OF_RANGE: u16 = 11;
const UNAVAILABLE: u16 = 14;
const DATA_LOSS: u16 = 15;

const fn name(code: u16) -> &'static str {
    match code {
        0 => "OK",
        CANCELLED => "CANCELLED",
        3 => "INVALID_ARGUMENT",
        DEADLINE_EXCEEDED => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        6 => "ALREADY_EXISTS",
        7 => "PERMISSION_DENIED",
        RESOURCE_EXHAUSTED => "RESOURCE_EXHAUSTED",
        9 => "FAILED_PRECONDITION",
        ABORTED => "ABORTED",
        OUT_OF_RANGE => "OUT_OF_RANGE",
        12 => "UNIMPLEMENTED",
        13 => "INTERNAL",
        UNAVAILABLE => "UNAVAILABLE",
        DATA_LOSS => "DATA_LOSS",
        16 => "UNAUTHENTICATED",
        _ => "UNKNOWN",
    }
}

/// Returns the delay of the `google.rpc.RetryInfo` in a `google.rpc.Status`.
fn retry_delay(status: &[u8]) -> Result<Option<Duration>, Malformed> {
    for (number, value) in fields(status)? {
        let (3, FieldValue::Bytes(any)) = (number, value) else {
            continue;
        };
        let any = fields(any)?;
        let is_retry_info = any.iter().any(|field| {
            matches!(field, (1, FieldValue::Bytes(url)) if url.ends_with(b"/google.rpc.RetryInfo"))
        });
        let info = any.iter().find_map(|field| match field {
            (2, FieldValue::Bytes(info)) => Some(*info),
            _ => None,
        });
        if is_retry_info {
            return duration(info.unwrap_or_default()).map(Some);
        }
    }
    Ok(None)
}

/// Reads the `google.protobuf.Duration` of a `RetryInfo`. A negative one is 0.
fn duration(retry_info: &[u8]) -> Result<Duration, Malformed> {
    let mut delay = Duration::ZERO;
    for field in fields(retry_info)? {
        let (1, FieldValue::Bytes(duration)) = field else {
            continue;
        };
        for field in fields(duration)? {
            let (number, FieldValue::Varint(value)) = field else {
                continue;
            };
            let value = u64::try_from(value.cast_signed()).unwrap_or(0);
            delay = delay.saturating_add(match number {
                1 => Duration::from_secs(value),
                2 => Duration::from_nanos(value),
                _ => Duration::ZERO,
            });
        }
    }
    Ok(delay)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::str::FromStr;

    use http::{HeaderName, HeaderValue};

    use super::*;

    fn answer(headers: &[(&str, &str)]) -> Answer {
        let headers = headers.iter().map(|(name, value)| {
            let name = HeaderName::from_str(name).unwrap();
            (name, HeaderValue::from_str(value).unwrap())
        });
        GrpcStatus::read(&headers.collect()).unwrap().into_answer()
    }

    /// A `google.rpc.Status` with a `google.rpc.Help`, which is skipped, and a `RetryInfo` of one hour.
    const HOUR: &str = "CA4SBGJ1c3kaJQojdHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLkhlbHAaMQoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIFCgMIkBw=";
    /// The same with one and a half seconds, and without padding.
    const SHORT: &str = "CA4SBGJ1c3kaJQojdHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLkhlbHAaNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIKCggIARCAyrXuAQ";

    #[test]
    fn the_delay_of_a_retry_info_is_read() {
        for (code, details, delay) in [
            ("14", HOUR, Duration::from_secs(3600)),
            ("14", SHORT, Duration::from_millis(1500)),
            ("8", SHORT, Duration::from_millis(1500)),
            ("11", SHORT, Duration::from_millis(1500)),
        ] {
            let headers = [("grpc-status", code), ("grpc-status-details-bin", details)];
            let found = answer(&headers);
            let is_delay =
                matches!(found, Answer::Retry { after: Some(after), .. } if after == delay);
            assert!(is_delay, "{found:?}");
        }
    }

    #[test]
    fn codes_are_classified_as_the_specification_says() {
        for (code, expected) in [
            (1, "retry"),
            (2, "failed"),
            (3, "failed"),
            (4, "retry"),
            (5, "failed"),
            (7, "failed"),
            (8, "too large"),
            (10, "retry"),
            (11, "too large"),
            (12, "failed"),
            (13, "failed"),
            (14, "retry"),
            (15, "retry"),
            (16, "failed"),
            (17, "failed"),
            (65_535, "failed"),
        ] {
            let found = match answer(&[("grpc-status", &code.to_string())]) {
                Answer::Retry { after: None, .. } => "retry",
                Answer::TooLarge(_) => "too large",
                Answer::Failed(_) => "failed",
                other => unreachable!("{other:?}"),
            };
            assert_eq!(found, expected, "{code}");
        }
    }

    #[test]
    fn details_that_are_not_base64_or_not_a_message_are_ignored() {
        for details in ["%%%", "A", "AB*D", "////", "CA4a", "é"] {
            let found = answer(&[("grpc-status", "14"), ("grpc-status-details-bin", details)]);
            let expected = Answer::retry("gRPC status UNAVAILABLE".to_owned());
            assert_eq!(found, expected, "{details}");
        }
    }

    #[test]
    fn a_message_is_decoded() {
        let found = answer(&[
            ("grpc-status", "3"),
            ("grpc-message", "50%25 of %C3%A9 %zz%"),
        ]);
        let expected = "gRPC status INVALID_ARGUMENT: 50% of é %zz%".to_owned();
        assert_eq!(found, Answer::Failed(expected));
    }

    #[test]
    fn a_status_that_is_not_a_number_is_none() {
        let headers = HeaderMap::from_iter([(
            HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("fine"),
        )]);
        assert!(GrpcStatus::read(&headers).is_none());
    }
}
