//! `POST /v1/traces`: other processes of this machine send their spans by OTLP over HTTP, so that the page shows traces
//! across services.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, Request, StatusCode};
use http_body::Body;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::page::otlp_spans;
use crate::page::page_state::PageState;
use crate::page::page_thread::PageJobs;

/// The maximum size of a request in bytes: the default of collectors.
const MAX_REQUEST: usize = 4 << 20;
/// The maximum number of requests that are read at the same time.
const MAX_REQUESTS: usize = 4;
/// The timeout to read a request.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) const PATH: &str = "/v1/traces";
pub(crate) const PROTOBUF: &str = "application/x-protobuf";

/// Receives spans of other processes.
#[derive(Debug)]
pub(crate) struct Intake {
    running: Arc<Semaphore>,
}

impl Intake {
    pub(crate) fn new() -> Self {
        Self {
            running: Arc::new(Semaphore::new(MAX_REQUESTS)),
        }
    }

    /// Adds the spans of a request to the page. The page's thread decodes them. Returns the encoded response, or a status and a
    /// reason.
    pub(crate) async fn receive<B>(
        &self,
        request: Request<B>,
        state: &Arc<PageState>,
        jobs: &PageJobs,
    ) -> Result<Vec<u8>, (StatusCode, &'static str)>
    where
        B: Body,
        B::Data: AsRef<[u8]>,
    {
        check_format(request.headers())?;
        let Ok(permit) = Arc::clone(&self.running).try_acquire_owned() else {
            return Err((
                StatusCode::SERVICE_UNAVAILABLE,
                "too many requests at a time\n",
            ));
        };
        let bytes = timeout(READ_TIMEOUT, read_body(request.into_body())).await;
        let bytes = bytes.unwrap_or(Err((
            StatusCode::REQUEST_TIMEOUT,
            "the request took longer than 10 seconds\n",
        )))?;
        let state = Arc::clone(state);
        let refused = jobs.run(move || {
            let refused = otlp_spans::read(&bytes, |span, source| state.add(span, source));
            // Released after the work, also if the client has disconnected.
            drop(permit);
            refused
        });
        let Ok(refused) = refused.await else {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "the page is stopped\n"));
        };
        let refused = refused.map_err(|_| {
            let reason = "the body is not an ExportTraceServiceRequest in protobuf\n";
            (StatusCode::BAD_REQUEST, reason)
        })?;
        let partial_success = (refused > 0).then(|| ExportTracePartialSuccess {
            rejected_spans: i64::try_from(refused).unwrap_or(i64::MAX),
            error_message: "spans without ids and spans of more than 128 KiB are not shown"
                .to_owned(),
        });
        Ok(ExportTraceServiceResponse { partial_success }.encode_to_vec())
    }
}

/// Checks type and encoding. For these headers, browsers require a CORS preflight, which the page does not allow, so pages of
/// other sites cannot send such a request.
fn check_format(headers: &HeaderMap) -> Result<(), (StatusCode, &'static str)> {
    let is_protobuf = headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value == PROTOBUF);
    let is_encoded = headers
        .get(CONTENT_ENCODING)
        .is_some_and(|value| value != "identity");
    match is_protobuf && !is_encoded {
        true => Ok(()),
        false => Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the type or the encoding is not accepted (expected application/x-protobuf without compression)\n",
        )),
    }
}

async fn read_body<B>(body: B) -> Result<Vec<u8>, (StatusCode, &'static str)>
where
    B: Body,
    B::Data: AsRef<[u8]>,
{
    let mut body = pin!(body);
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        let Ok(frame) = frame else {
            return Err((StatusCode::BAD_REQUEST, "the body was cut\n"));
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if bytes.len() + data.as_ref().len() > MAX_REQUEST {
            return Err((
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body has more than 4 MiB\n",
            ));
        }
        bytes.extend_from_slice(data.as_ref());
    }
    Ok(bytes)
}
