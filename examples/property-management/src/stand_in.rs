//! A fake model provider in OpenAI's wire format. It returns one sentence and can be configured to
//! fail. It stands for an external service, so it has no telemetry layers.

use std::{
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{net::TcpListener, time};

use crate::{
    BoxError,
    config::Variables,
    extract::Json,
    process::{self, Process},
};

/// A fault, returned in place of a completion.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Fault {
    kind: Kind,
    /// The delay of `slow`, in milliseconds.
    #[serde(default = "default_delay_ms")]
    delay_ms: u64,
    /// The number of requests that fail. Default: all.
    times: Option<u32>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
enum Kind {
    #[default]
    #[serde(rename = "none")]
    None,
    #[serde(rename = "slow")]
    Slow,
    #[serde(rename = "429")]
    RateLimited,
    #[serde(rename = "500")]
    Broken,
    #[serde(rename = "garbage")]
    Garbage,
}

const fn default_delay_ms() -> u64 {
    5_000
}

type Shared = Arc<Mutex<Fault>>;

/// Runs the fake model provider on `LISTEN_ADDR` (default: 127.0.0.1:8083).
/// `PUT /fault {"kind":"slow|429|500|garbage|none"}` sets the fault.
pub fn model_stand_in() -> ExitCode {
    process::run("model-stand-in", async |process| {
        let address = Variables::from_env().listen_addr("127.0.0.1:8083");
        serve(process::listen(&address).await?, &process).await
    })
}

pub(crate) async fn serve(listener: TcpListener, process: &Process) -> Result<(), BoxError> {
    let app = Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/fault", put(set_fault).get(get_fault))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(Shared::default());
    process::serve(listener, app, &process.shutdown).await
}

async fn set_fault(State(shared): State<Shared>, Json(fault): Json<Fault>) -> Json<Fault> {
    *shared.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    Json(fault)
}

async fn get_fault(State(shared): State<Shared>) -> Json<Fault> {
    Json(*shared.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Returns the fault of the next request.
fn next_fault(shared: &Shared) -> Fault {
    let mut fault = shared.lock().unwrap_or_else(PoisonError::into_inner);
    match &mut fault.times {
        None => *fault,
        Some(0) => Fault::default(),
        Some(left) => {
            *left -= 1;
            *fault
        }
    }
}

async fn complete(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Response {
    if !headers.contains_key(header::AUTHORIZATION) {
        return error(StatusCode::UNAUTHORIZED, "invalid_api_key");
    }
    let fault = next_fault(&shared);
    match fault.kind {
        Kind::None => time::sleep(Duration::from_millis(30)).await,
        Kind::Slow => time::sleep(Duration::from_millis(fault.delay_ms)).await,
        Kind::Broken => return error(StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        Kind::Garbage => return "<html>it works!</html>".into_response(),
        Kind::RateLimited => {
            let response = error(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded");
            return ([(header::RETRY_AFTER, "1")], response).into_response();
        }
    }
    let prompt = request.pointer("/messages/1/content");
    let prompt = prompt.and_then(Value::as_str).unwrap_or_default();
    let text = "A bright home close to everything, quiet at night and warm in winter.";
    // A token has about four characters.
    let (input, output) = (prompt.len() / 4 + 20, text.len() / 4);
    Json(json!({
        "id": "chatcmpl-stand-in",
        "object": "chat.completion",
        "created": 0,
        "model": request.get("model"),
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": text },
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": input,
            "completion_tokens": output,
            "total_tokens": input + output,
        },
    }))
    .into_response()
}

fn error(status: StatusCode, code: &str) -> Response {
    let body = json!({ "error": { "message": code, "type": code, "code": code } });
    (status, Json(body)).into_response()
}
