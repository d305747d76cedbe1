//! The attempts at one call. A provider that asks us to wait is obeyed, one that is broken is tried
//! again, and one that is slow is not: it would get slower.

use std::time::Duration;

use axum::http::StatusCode;
use reqwest::{Response, header};
use serde_json::Value;
use tokio::time::{self, Instant};
use tower_otel_core::Attempts;

use super::{Inner, ModelError, wire};
use wire::Completion;

const MAX_ATTEMPTS: u32 = 3;

/// The pause after the first attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A provider that wants a longer pause is not waited for: somebody waits for us.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) async fn send(model: &Inner, body: &Value) -> Result<Completion, ModelError> {
    // Shared by all attempts, so that each one's span says which one it is.
    let attempts = Attempts::default();
    let end = Instant::now() + model.timeout;
    let mut pause = FIRST_PAUSE;
    let mut attempt = 1;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let failed = match once(model, body, attempts.clone(), left).await {
            Ok(completion) => return Ok(completion),
            Err(failed) => failed,
        };
        let wanted = match &failed {
            ModelError::RateLimited(after) => after.unwrap_or(pause),
            ModelError::Unavailable(_) => pause,
            _ => return Err(failed),
        };
        let wakes = Instant::now() + wanted;
        if attempt == MAX_ATTEMPTS || wanted > LONGEST_PAUSE || wakes >= end {
            return Err(failed);
        }
        tracing::info!(error = %failed, ?wanted, "the model is asked again");
        time::sleep_until(wakes).await;
        pause *= 2;
        attempt += 1;
    }
}

/// What is left of the time is the limit of the attempt itself, so its own span tells of it.
async fn once(
    model: &Inner,
    body: &Value,
    attempts: Attempts,
    left: Duration,
) -> Result<Completion, ModelError> {
    let request = model.client.post(model.url.clone()).json(body);
    let mut request = request.timeout(left);
    if let Some(key) = &model.key {
        request = request.header(header::AUTHORIZATION, key.clone());
    }
    let response = request.with_extension(attempts).send().await;
    let mut response = response.map_err(|error| match error.is_timeout() {
        true if !error.is_connect() => ModelError::Timeout,
        _ => ModelError::Unavailable(None),
    })?;
    match response.status() {
        status if status.is_success() => Completion::read(&read(&mut response).await?),
        StatusCode::TOO_MANY_REQUESTS => Err(ModelError::RateLimited(retry_after(&response))),
        status if status.is_server_error() => Err(ModelError::Unavailable(Some(status))),
        status => Err(ModelError::Rejected(status)),
    }
}

async fn read(response: &mut Response) -> Result<Vec<u8>, ModelError> {
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

/// In seconds; the other form of this header, a date, is no use between clocks that differ.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?;
    let seconds = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
