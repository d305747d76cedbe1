//! The attempts of one model call. Rate limits (429) and failures are retried, timeouts are not.

use std::time::Duration;

use axum::http::StatusCode;
use reqwest::{Response, header};
use serde_json::Value;
use tokio::time::{self, Instant};
use tower_otel_core::Attempts;

use super::{Inner, ModelError, wire};
use wire::Completion;

const MAX_ATTEMPTS: u32 = 3;

/// The pause after the first attempt. It doubles after each attempt.
const INITIAL_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause. If the provider requests a longer one, the call fails.
const MAX_PAUSE: Duration = Duration::from_secs(5);

pub(super) async fn send(model: &Inner, body: &Value) -> Result<Completion, ModelError> {
    // All attempts share the counter, so that each span has its attempt number.
    let attempts = Attempts::default();
    let deadline = Instant::now() + model.timeout;
    let mut pause = INITIAL_PAUSE;
    let mut attempt = 1;
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let error = match send_once(model, body, attempts.clone(), remaining).await {
            Ok(completion) => return Ok(completion),
            Err(error) => error,
        };
        let delay = match &error {
            ModelError::RateLimited(after) => after.unwrap_or(pause),
            ModelError::Unavailable(_) => pause,
            _ => return Err(error),
        };
        let next = Instant::now() + delay;
        if attempt == MAX_ATTEMPTS || delay > MAX_PAUSE || next >= deadline {
            return Err(error);
        }
        tracing::info!(%error, ?delay, "model call failed, retrying");
        time::sleep_until(next).await;
        pause *= 2;
        attempt += 1;
    }
}

/// Sends one attempt. Its time limit is the remaining time of the call, so a timeout appears in the
/// span of the attempt.
async fn send_once(
    model: &Inner,
    body: &Value,
    attempts: Attempts,
    remaining: Duration,
) -> Result<Completion, ModelError> {
    let request = model.client.post(model.url.clone()).json(body);
    let mut request = request.timeout(remaining);
    if let Some(key) = &model.key {
        request = request.header(header::AUTHORIZATION, key.clone());
    }
    let response = request.with_extension(attempts).send().await;
    let mut response = response.map_err(|error| match error.is_timeout() {
        true if !error.is_connect() => ModelError::Timeout,
        _ => ModelError::Unavailable(None),
    })?;
    match response.status() {
        status if status.is_success() => Completion::parse(&read_body(&mut response).await?),
        StatusCode::TOO_MANY_REQUESTS => Err(ModelError::RateLimited(retry_after(&response))),
        status if status.is_server_error() => Err(ModelError::Unavailable(Some(status))),
        status => Err(ModelError::Rejected(status)),
    }
}

async fn read_body(response: &mut Response) -> Result<Vec<u8>, ModelError> {
    let mut body = Vec::new();
    loop {
        let chunk = response
            .chunk()
            .await
            .map_err(|error| match error.is_timeout() {
                true => ModelError::Timeout,
                false => ModelError::Malformed("cut_short"),
            })?;
        let Some(chunk) = chunk else { return Ok(body) };
        if body.len() + chunk.len() > wire::MAX_BYTES {
            return Err(ModelError::Malformed("too_long"));
        }
        body.extend_from_slice(&chunk);
    }
}

/// Returns `Retry-After` in seconds. Dates are ignored because clocks can differ.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?;
    let seconds = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
