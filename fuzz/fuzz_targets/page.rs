//! The page answers any OTLP request, shows what it accepts as JSON, and stays within its bounds.
#![no_main]

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::OnceLock,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tower_otel_init::{MetricsExporter, PeerAddr, Telemetry, TracesExporter};
use tower_service::Service;

const MAX_TRACES: usize = 500;
const MAX_BYTES: u64 = 32 << 20;

/// So many requests are followed by a look at the list of traces.
const REQUESTS: u32 = 64;

struct Page {
    runtime: Runtime,
    telemetry: Telemetry,
}

fn page() -> &'static Page {
    static PAGE: OnceLock<Page> = OnceLock::new();
    PAGE.get_or_init(|| {
        let builder = Telemetry::builder("fuzz").metrics(MetricsExporter::None);
        let builder = builder.traces(TracesExporter::None).log_filter("off");
        Page {
            telemetry: builder
                .page(([127, 0, 0, 1], 0))
                .install()
                .expect("telemetry starts"),
            runtime: Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime"),
        }
    })
}

/// A body of a few frames.
struct Pieces(Vec<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop().map(|piece| Ok(Frame::data(piece))))
    }
}

/// Sends a request. Returns the status and the body, or its first frame for a stream of events.
fn send(method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut pieces: Vec<_> = body.chunks(1000).map(Bytes::copy_from_slice).collect();
    pieces.reverse();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost");
    let request = request.header("content-type", "application/x-protobuf");
    let request = request.extension(PeerAddr(([127, 0, 0, 1], 4711).into()));
    let request = request.body(Pieces(pieces)).expect("a request");
    let mut service = page().telemetry.page_service().expect("a page");
    page().runtime.block_on(async {
        let response: Result<Response<_>, _> = service.call(request).await;
        let (head, body) = response.expect("a response").into_parts();
        let mut body = pin!(body);
        let mut bytes = Vec::new();
        while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
            bytes.extend_from_slice(&frame.expect("a frame").into_data().expect("data"));
            if path == "/events" {
                break;
            }
        }
        (head.status.as_u16(), bytes)
    })
}

/// Returns the data of an event.
fn event<'a>(events: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = events.split_once(&format!("event: {name}\ndata: "))?;
    rest.split_once('\n').map(|(data, _)| data)
}

/// The list and each trace are JSON, within the bounds.
fn look() {
    let (_, events) = send("GET", "/events", b"");
    let events = String::from_utf8(events).expect("UTF-8");
    let overview: Value =
        serde_json::from_str(event(&events, "overview").expect("an overview")).expect("JSON");
    assert!(overview["ring"]["bytes"].as_u64().expect("bytes") <= MAX_BYTES);
    let Some(traces) = event(&events, "traces") else {
        return;
    };
    let traces: Value = serde_json::from_str(traces).expect("JSON");
    let traces = traces["changed"].as_array().expect("traces");
    assert!(traces.len() <= MAX_TRACES);
    // The last ones: looking at all takes too long.
    let mut traces: Vec<_> = traces.iter().collect();
    traces.sort_by_key(|trace| std::cmp::Reverse(trace["number"].as_u64()));
    for trace in traces.into_iter().take(REQUESTS as usize) {
        let id = trace["id"].as_str().expect("an id");
        let (status, body) = send("GET", &format!("/traces/{id}"), b"");
        assert_eq!(status, 200);
        let shown: Value = serde_json::from_slice(&body).expect("JSON");
        let spans = shown["spans"].as_array().expect("spans");
        assert_eq!(
            spans.len() as u64,
            trace["spans"].as_u64().expect("a number")
        );
    }
    assert_eq!(send("GET", "/search?q=a", b"").0, 200);
}

fuzz_target!(|input: &[u8]| {
    let (status, _) = send("POST", "/v1/traces", input);
    assert!(matches!(status, 200 | 400 | 413), "{status}");
    thread_local! {
        static SENT: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
    }
    let sent = SENT.get() + 1;
    SENT.set(sent);
    if sent % REQUESTS == 0 {
        look();
    }
});
