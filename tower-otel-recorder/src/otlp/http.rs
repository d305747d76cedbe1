//! OTLP over HTTP with protobuf.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>

use std::{
    io,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
};
use reqwest::{ClientBuilder, Response, Url, redirect::Policy};

use crate::{
    encoding::protobuf::{FieldValue, fields},
    otlp::{
        answer::{Answer, MAX_ANSWER},
        error_text::{server_text, with_causes},
        invalid::invalid,
        json,
    },
};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &[u8] = b"application/json";
const GRPC: &[u8] = b"application/grpc";

#[derive(Debug)]
pub(crate) struct HttpClient {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    /// Whether the endpoint has answered by HTTP.
    has_answered: bool,
}

/// The hint in failures until the endpoint has answered by HTTP.
const HINT: &str = "the endpoint has not answered by OTLP over HTTP: if it expects gRPC, \
                    set OTEL_EXPORTER_OTLP_PROTOCOL=grpc or use `OtlpExporter::grpc`";

impl HttpClient {
    pub(crate) fn new(
        builder: ClientBuilder,
        url: &str,
        mut headers: HeaderMap,
        gzip: bool,
    ) -> io::Result<Self> {
        let url = Url::parse(url).map_err(|error| {
            invalid(&format!(
                "the endpoint is not a URL: {error} (expected http:// or https:// and a host or an address)"
            ))
        })?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        // A redirect would send the headers, and so the credentials, to another host.
        let client = builder.redirect(Policy::none()).build();
        let client = client.map_err(|error| {
            let error = with_causes(&error);
            invalid(&format!("the HTTP client cannot be created: {error}"))
        })?;
        Ok(Self {
            client,
            url,
            headers,
            has_answered: false,
        })
    }

    pub(crate) async fn send(&mut self, body: Bytes) -> Answer {
        let request = self
            .client
            .post(self.url.clone())
            .headers(self.headers.clone());
        match request.body(body).send().await {
            Ok(response) => {
                self.has_answered = true;
                read(response).await
            }
            Err(error) if error.is_builder() => Answer::Failed(with_causes(&error.without_url())),
            Err(error) => {
                let is_connect = error.is_connect();
                let hint = (!self.has_answered).then_some(HINT);
                Answer::without_response(&error.without_url(), is_connect).with_hint(hint)
            }
        }
    }
}

async fn read(mut response: Response) -> Answer {
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(retry_after);
    let content_type = response.headers().get(CONTENT_TYPE).cloned();
    if starts_with(content_type.as_ref(), GRPC) {
        let answer = match status.is_success() {
            true => Answer::Failed(format!("HTTP status {status}")),
            false => refused(status, after, &[]),
        };
        return answer.with_hint(Some(HINT));
    }
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            // The collector may have accepted the request. A second request would store its spans twice.
            Err(error) if status.is_success() => {
                let error = with_causes(&error.without_url());
                return Answer::Failed(format!("the collector's response breaks off: {error}"));
            }
            // The status is sufficient.
            Err(_) => break,
        }
        if body.len() > MAX_ANSWER {
            match status.is_success() {
                true => return Answer::too_long(),
                false => break,
            }
        }
    }
    if status.is_success() {
        return accepted(content_type.as_ref(), &body);
    }
    refused(status, after, &body)
}

fn accepted(content_type: Option<&HeaderValue>, body: &[u8]) -> Answer {
    // Some collectors answer in JSON, regardless of the request.
    match starts_with(content_type, JSON) {
        true => json::accepted(body),
        false => Answer::accepted(body),
    }
}

fn starts_with(content_type: Option<&HeaderValue>, start: &[u8]) -> bool {
    let content_type = content_type.map(HeaderValue::as_bytes).unwrap_or_default();
    content_type
        .get(..start.len())
        .is_some_and(|found| found.eq_ignore_ascii_case(start))
}

/// Classifies an error by the specification of OTLP.
///
/// <https://opentelemetry.io/docs/specs/otlp/#failures-1>
fn refused(status: StatusCode, after: Option<Duration>, body: &[u8]) -> Answer {
    let mut reason = format!("HTTP status {status}");
    if status.is_redirection() {
        reason += ", and redirects are not followed";
    }
    if let Some(message) = status_message(body) {
        reason = format!("{reason}: {message}");
    }
    match status.as_u16() {
        429 | 503 => Answer::Retry { reason, after },
        502 | 504 => Answer::retry(reason),
        413 => Answer::TooLarge(reason),
        _ => Answer::Failed(reason),
    }
}

/// Returns the message of a `google.rpc.Status`.
fn status_message(body: &[u8]) -> Option<String> {
    let fields = fields(body).ok()?;
    fields.into_iter().find_map(|field| match field {
        (2, FieldValue::Bytes(message)) => server_text(message),
        _ => None,
    })
}

/// Reads a number of seconds or a date.
fn retry_after(value: &HeaderValue) -> Option<Duration> {
    let value = value.to_str().ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let seconds = |value: &'static str| {
            retry_after(&HeaderValue::from_static(value)).map(|after| after.as_secs())
        };
        for (value, expected) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 99 Nov 9999 99:99:99 GMT", None),
        ] {
            assert_eq!(seconds(value), expected, "{value}");
        }
        let hour = Duration::from_secs(3600);
        let date = httpdate::fmt_http_date(SystemTime::now() + hour);
        let after = HeaderValue::try_from(date)
            .ok()
            .and_then(|date| retry_after(&date));
        assert!(after.is_some_and(|after| after > hour - Duration::from_secs(60) && after <= hour));
    }

    #[test]
    fn statuses_are_classified_as_the_specification_says() {
        let after = Some(Duration::from_secs(7));
        for (status, expected) in [
            (301, "failed"),
            (400, "failed"),
            (401, "failed"),
            (404, "failed"),
            (408, "failed"),
            (413, "too large"),
            (429, "retry after 7"),
            (500, "failed"),
            (502, "retry"),
            (503, "retry after 7"),
            (504, "retry"),
        ] {
            let code = StatusCode::from_u16(status).unwrap_or_default();
            let found = match refused(code, after, b"no message") {
                Answer::Retry { after: None, .. } => "retry",
                Answer::Retry { .. } => "retry after 7",
                Answer::Unreachable(_) => "unreachable",
                Answer::TooLarge(_) => "too large",
                Answer::Failed(_) => "failed",
                Answer::Accepted { .. } => "accepted",
            };
            assert_eq!(found, expected, "{status}");
        }
    }
}
