//! The result of a request to a collector.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-response>

use std::{error::Error, time::Duration};

use crate::{
    encoding::protobuf::{FieldValue, Malformed, fields},
    otlp::error_text::{server_text, with_causes},
};

/// The maximum number of bytes of a response that are read.
pub(crate) const MAX_ANSWER: usize = 64 * 1024;

/// The result of a request. Its texts are [clean](crate::otlp::error_text); the caller shortens them and removes the credentials
/// of the headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The request was accepted, except for some of its spans.
    Accepted {
        rejected: u64,
        message: Option<String>,
    },
    /// The request may be sent again, after the time that the collector requests.
    Retry {
        reason: String,
        after: Option<Duration>,
    },
    /// There is no connection, so the request was not sent. It may be sent again.
    Unreachable(String),
    /// The request is too large.
    TooLarge(String),
    /// The request would fail again.
    Failed(String),
}

impl Answer {
    pub(crate) const fn retry(reason: String) -> Self {
        Self::Retry {
            reason,
            after: None,
        }
    }

    /// Returns the answer for an error without a response.
    pub(crate) fn without_response(error: &dyn Error, is_connect: bool) -> Self {
        match is_connect {
            true => Self::Unreachable(with_causes(error)),
            false => Self::retry(with_causes(error)),
        }
    }

    /// Adds the hint, if there is one, to the reason of a failure.
    pub(crate) fn with_hint(mut self, hint: Option<&str>) -> Self {
        if let (Self::Retry { reason, .. } | Self::Failed(reason), Some(hint)) = (&mut self, hint) {
            *reason = format!("{reason}; {hint}");
        }
        self
    }

    /// Reads an `ExportTraceServiceResponse`.
    pub(crate) fn accepted(response: &[u8]) -> Self {
        partial_success(response).unwrap_or_else(|Malformed| {
            Self::Failed("the collector's response is not OTLP".to_owned())
        })
    }

    pub(crate) fn too_long() -> Self {
        Self::Failed(format!(
            "the collector's response is larger than {MAX_ANSWER} bytes"
        ))
    }
}

fn partial_success(response: &[u8]) -> Result<Answer, Malformed> {
    let (mut rejected, mut message) = (0, None);
    for field in fields(response)? {
        let (1, FieldValue::Bytes(partial_success)) = field else {
            continue;
        };
        for field in fields(partial_success)? {
            match field {
                // A negative number is treated as 0.
                (1, FieldValue::Varint(spans)) => {
                    rejected = u64::try_from(spans.cast_signed()).unwrap_or(0);
                }
                (2, FieldValue::Bytes(text)) => message = server_text(text),
                _ => {}
            }
        }
    }
    Ok(Answer::Accepted { rejected, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::protobuf::Writer;

    fn response(rejected: i64, message: &str) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.message(1, |partial| {
            partial.uint(1, rejected.cast_unsigned());
            partial.bytes(2, message.as_bytes());
        });
        writer.into_vec()
    }

    #[test]
    fn rejected_spans_and_the_message_are_read() {
        let message = |text: &str| Some(text.to_owned());
        for (response, rejected, message) in [
            (Vec::new(), 0, None),
            (response(0, ""), 0, None),
            (response(3, "too old"), 3, message("too old")),
            (response(0, "deprecated"), 0, message("deprecated")),
            (response(-1, "negative"), 0, message("negative")),
            (
                response(1, "see http://me:s3cret@host/path?key=s3cret\r\nnow"),
                1,
                message("see http://host/path now"),
            ),
        ] {
            let expected = Answer::Accepted { rejected, message };
            assert_eq!(Answer::accepted(&response), expected);
        }
    }

    #[test]
    fn a_response_that_is_not_otlp_is_a_failure() {
        for response in [&b"<html>"[..], &[0x0a, 9, 1], &[0xa5; 40]] {
            assert!(matches!(Answer::accepted(response), Answer::Failed(_)));
        }
    }
}
