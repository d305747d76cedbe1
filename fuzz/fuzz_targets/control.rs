//! The control service answers any sequence of requests, changes nothing that it refuses, and accepts what it returns.
#![no_main]

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::OnceLock,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame};
use libfuzzer_sys::fuzz_target;
use tower_otel_init::{Control, MetricsExporter, Telemetry, TracesExporter};
use tower_service::Service;

const PATHS: [&str; 5] = ["/sampling", "/keep", "/log_filter", "/", "/x"];
const METHODS: [&str; 4] = ["PUT", "GET", "HEAD", "POST"];

fn telemetry() -> &'static Telemetry {
    static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();
    TELEMETRY.get_or_init(|| {
        let builder = Telemetry::builder("fuzz").metrics(MetricsExporter::None);
        let builder = builder.traces(TracesExporter::Console).log_filter("off");
        builder.install().expect("telemetry starts")
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

fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the service waits for nothing"),
    }
}

/// Sends a request. Returns the status and the text of the response.
fn send(method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let mut pieces: Vec<_> = body.chunks(1000).map(Bytes::copy_from_slice).collect();
    pieces.reverse();
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Pieces(pieces)).expect("a request");
    let response: Result<Response<_>, _> = ready(telemetry().control_service().call(request));
    let (head, mut body) = response.expect("a response").into_parts();
    let frame = ready(std::future::poll_fn(|context| {
        Pin::new(&mut body).poll_frame(context)
    }));
    let data = frame.map(|frame| frame.expect("a frame").into_data().expect("data"));
    let text = String::from_utf8(data.unwrap_or_default().to_vec()).expect("UTF-8");
    (head.status.as_u16(), text)
}

fn settings(control: &Control) -> [String; 3] {
    [control.sampling(), control.keep(), control.log_filter()]
}

// The first byte of a line chooses method and path.
fuzz_target!(|input: &[u8]| {
    let control = telemetry().control();
    for line in input.split(|byte| *byte == b'\n') {
        let Some((which, body)) = line.split_first() else {
            continue;
        };
        let path = PATHS[usize::from(which & 7) % PATHS.len()];
        let method = METHODS[usize::from(which >> 3 & 3)];
        let before = settings(&control);
        let (status, text) = send(method, path, body);
        let after = settings(&control);
        if method != "PUT" || status != 200 {
            assert_eq!(before, after);
        } else {
            let set = text.trim_end();
            let (again, same) = send(method, path, set.as_bytes());
            assert_eq!((again, same), (200, text));
            assert_eq!(settings(&control), after);
        }
    }
});
