//! A server receives trace context over a socket and calls another service, as in the test harness of W3C Trace
//! Context. Its requests follow [level 2](https://www.w3.org/TR/trace-context-2/), with every exporter of spans.
#![cfg(feature = "grpc")]
#![allow(clippy::unwrap_used, clippy::panic)]

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, Response};
use axum::routing::get;
use collector::Collector;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_otel_init::{
    MetricsExporter, PropagateLayer, Sampler, Telemetry, TraceLayer, TracesExporter,
};
use tracing_subscriber::layer::SubscriberExt;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// The request of the harness => whether the trace continues, its flags, and the `tracestate` that is sent.
///
/// `$` is the trace id and the parent id, `\t` a tab and `\s` a space. `;` separates header lines.
const CASES: &str = r"
=> starts
traceparent:00-$-01 => continues 01
traceparent:00-$-00 => continues 00
traceparent:00-$-02 => continues 02
traceparent:00-$-03 => continues 03
traceparent:00-$-ff => continues 03
traceparent:00-$-01;traceparent:00-$-01 => starts
traceparent:00-$-01,00-$-01 => starts
trace-parent:00-$-01 => starts
trace.parent:00-$-01 => starts
TraceParent:00-$-01 => continues 01
TrAcEpArEnT:00-$-01 => continues 01
TRACEPARENT:00-$-01 => continues 01
traceparent:00-$-01. => starts
traceparent:00-$-01- => starts
traceparent:00-$-01-later => starts
traceparent:cc-$-01 => continues 01
traceparent:cc-$-01-later => continues 01
traceparent:cc-$-01.later => starts
traceparent:ff-$-01 => starts
traceparent:.0-$-01 => starts
traceparent:0.-$-01 => starts
traceparent:000-$-01 => starts
traceparent:0000-$-01 => starts
traceparent:0-$-01 => starts
traceparent:00-00000000000000000000000000000000-b7ad6b7169203331-01 => starts
traceparent:00-.af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 => starts
traceparent:00-0af7651916cd43dd8448eb211c80319.-b7ad6b7169203331-01 => starts
traceparent:00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01 => starts
traceparent:00-0af7651916cd43dd8448eb211c80319cc-b7ad6b7169203331-01 => starts
traceparent:00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01 => starts
traceparent:00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01 => starts
traceparent:00-0af7651916cd43dd8448eb211c80319c-.7ad6b7169203331-01 => starts
traceparent:00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333.-01 => starts
traceparent:00-0af7651916cd43dd8448eb211c80319c-b7ad6b71692033311-01 => starts
traceparent:00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333-01 => starts
traceparent:00-$-.0 => starts
traceparent:00-$-0. => starts
traceparent:00-$-001 => starts
traceparent:00-$-1 => starts
traceparent:\s00-$-01 => continues 01
traceparent:\t00-$-01 => continues 01
traceparent:00-$-01\s => continues 01
traceparent:00-$-01\t => continues 01
traceparent:\t\s00-$-01\s\t => continues 01
tracestate:foo=1 => starts
traceparent:00-bad;tracestate:foo=1,bar=2 => starts
traceparent:00-$-00;tracestate:foo=1,bar=2 => continues 00 foo=1,bar=2
traceparent:00-$-02;tracestate:foo=1 => continues 02 foo=1
traceparent:00-$-03;tracestate:a=1,b@c=2 => continues 03 a=1,b@c=2
traceparent:00-$-00;trace-state:foo=1 => continues 00
traceparent:00-$-00;trace.state:foo=1 => continues 00
traceparent:00-$-00;TraceState:foo=1 => continues 00 foo=1
traceparent:00-$-00;TrAcEsTaTe:foo=1 => continues 00 foo=1
traceparent:00-$-00;TRACESTATE:foo=1 => continues 00 foo=1
traceparent:00-$-00;tracestate: => continues 00
traceparent:00-$-00;tracestate:foo=1;tracestate: => continues 00 foo=1
traceparent:00-$-00;tracestate:;tracestate:foo=1 => continues 00 foo=1
traceparent:00-$-00;tracestate:a=1,b=2;tracestate:c=1,d=2;tracestate:e=3 => continues 00 a=1,b=2,c=1,d=2,e=3
traceparent:00-$-00;tracestate:foo=1,foo=2 => continues 00 foo=1,foo=2
traceparent:00-$-00;tracestate:foo=1;tracestate:foo=1 => continues 00 foo=1,foo=1
traceparent:00-$-00;tracestate:0a_-*/@z=!#~ => continues 00 0a_-*/@z=!#~
traceparent:00-$-00;tracestate:foo=1\s\t\s,\s\t\sbar=2 => continues 00 foo=1,bar=2
traceparent:00-$-00;tracestate:\t\sfoo=1\s\t => continues 00 foo=1
traceparent:00-$-00;tracestate:foo\s=1 => continues 00
traceparent:00-$-00;tracestate:FOO=1 => continues 00
traceparent:00-$-00;tracestate:foo.bar=1 => continues 00
traceparent:00-$-00;tracestate:foo@=1,a@@b=2,a@b@c=3 => continues 00 foo@=1,a@@b=2,a@b@c=3
traceparent:00-$-00;tracestate:@foo=1,bar=2 => continues 00
traceparent:00-$-00;tracestate:foo=bar=baz => continues 00
traceparent:00-$-00;tracestate:foo=,bar=3 => continues 00
";

/// Returns the cases of [`CASES`], and cases at the limits of `tracestate`.
fn cases() -> Vec<(String, String)> {
    let unescape = |text: &str| {
        let text = text.replace('$', &format!("{TRACE}-{PARENT}"));
        text.replace(r"\t", "\t").replace(r"\s", " ")
    };
    let table = CASES.lines().filter_map(|line| line.split_once("=> "));
    let mut cases: Vec<_> = table
        .map(|(request, sent)| (unescape(request.trim_end()), sent.to_owned()))
        .collect();
    let members = |count: usize| {
        let members: Vec<_> = (0..count).map(|n| format!("k{n}={n}")).collect();
        members.join(",")
    };
    let (longest, too_long) = ("a".repeat(256), "a".repeat(257));
    for (state, is_sent) in [
        (members(32), true),
        (members(33), false),
        (format!("{longest}=1"), true),
        (format!("{too_long}=1"), false),
        (format!("k={longest}"), true),
        (format!("k={too_long}"), false),
    ] {
        let sent = if is_sent { &*state } else { "" };
        cases.push((
            unescape(&format!("traceparent:00-$-01;tracestate:{state}")),
            format!("continues 01 {sent}").trim_end().to_owned(),
        ));
    }
    cases
}

/// Calls another service twice. Responds with the trace headers that the other service received, one line per call.
async fn relay() -> String {
    let context = Context::current();
    assert!(context.span().span_context().is_valid());
    let other = service_fn(|request: Request<Body>| async move {
        let mut response = Response::new(Body::empty());
        *response.headers_mut() = request.headers().clone();
        Ok::<_, Infallible>(response)
    });
    let mut client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(PropagateLayer::new())
        .service(other);
    let mut lines = String::new();
    for _ in 0..2 {
        let request = Request::get("http://other/").body(Body::empty()).unwrap();
        let service = client.ready().await.unwrap();
        let sent = tower::Service::call(service, request).await.unwrap();
        let parent = only(sent.headers(), "traceparent");
        let state = only(sent.headers(), "tracestate");
        writeln!(lines, "{parent} {state}").unwrap();
    }
    lines
}

/// Returns the value of a header that occurs at most once, and is not empty if it occurs.
fn only(headers: &HeaderMap, name: &str) -> String {
    let mut values = headers.get_all(name).iter();
    let value = values.next().map(|value| value.to_str().unwrap());
    assert!(values.next().is_none() && value != Some(""), "{headers:?}");
    value.unwrap_or_default().to_owned()
}

/// Sends header lines unchanged. Returns the lines of [`relay`].
async fn send(address: SocketAddr, headers: &str) -> String {
    let mut request = String::from("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n");
    for line in headers.split(';').filter(|line| !line.is_empty()) {
        write!(request, "{line}\r\n").unwrap();
    }
    request.push_str("\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

/// Returns the result of a request in the format of [`CASES`], and the span id, from one line of [`relay`].
fn outcome(line: &str) -> (String, String) {
    let (parent, state) = line.split_once(' ').unwrap();
    let parts: Vec<_> = parent.split('-').collect();
    let [version, trace, span, flags] = parts[..] else {
        panic!("{line}");
    };
    let is_lower_hex = |text: &str| text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
    assert!(parts.iter().all(|part| is_lower_hex(part)), "{line}");
    assert_eq!(
        (version, trace.len(), span.len(), flags.len()),
        ("00", 32, 16, 2)
    );
    assert!(
        span.bytes().any(|byte| byte != b'0') && span != PARENT,
        "{line}"
    );
    assert!(trace.bytes().any(|byte| byte != b'0'), "{line}");
    let outcome = match trace == TRACE {
        true => format!("continues {flags} {state}").trim_end().to_owned(),
        false => format!("starts {state}").trim_end().to_owned(),
    };
    (outcome, span.to_owned())
}

const EXPORTERS: [TracesExporter; 3] = [
    TracesExporter::Otlp,
    TracesExporter::None,
    TracesExporter::Console,
];

/// Sends requests with these header lines to a server. Returns the lines of [`relay`] for each.
fn relayed<'a>(
    exporter: TracesExporter,
    sampler: Sampler,
    requests: impl Iterator<Item = &'a str>,
) -> Vec<String> {
    let collector = Collector::grpc();
    let (_telemetry, layers) = Telemetry::builder("users")
        .traces(exporter)
        .endpoint(collector.endpoint())
        .sampler(sampler)
        .metrics(MetricsExporter::None)
        .local()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(layers);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // The server also runs on this thread.
    let _default = tracing::subscriber::set_default(subscriber);
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new()
            .route("/", get(relay))
            .layer(TraceLayer::server());
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let mut responses = Vec::new();
        for request in requests {
            responses.push(send(address, request).await);
        }
        server.abort();
        responses
    })
}

#[test]
fn received_trace_context_is_sent_on_by_the_rules_of_level_2_with_every_exporter() {
    let cases = cases();
    for exporter in EXPORTERS {
        let requests = cases.iter().map(|(request, _)| &**request);
        let responses = relayed(exporter, Sampler::ratio(1.0).parent_based(), requests);
        for ((request, expected), response) in cases.iter().zip(responses) {
            let outcomes: Vec<_> = response.lines().map(outcome).collect();
            let [(first, first_span), (second, second_span)] = &*outcomes else {
                panic!("{response}");
            };
            let case = format!("{exporter:?} {request:?}");
            assert_eq!(first, expected, "{case}");
            assert_eq!(second, first, "{case}");
            assert_ne!(first_span, second_span, "{case}");
        }
    }
}

#[test]
fn a_new_trace_is_sent_with_the_decision_of_the_sampler_with_every_exporter() {
    for exporter in EXPORTERS {
        for (sampler, flags) in [(Sampler::ratio(1.0), "-01"), (Sampler::always_off(), "-00")] {
            let responses = relayed(exporter, sampler, ["", "tracestate:foo=1"].into_iter());
            for line in responses.iter().flat_map(|response| response.lines()) {
                assert_eq!(outcome(line).0, "starts", "{exporter:?}");
                assert!(line.trim_end().ends_with(flags), "{exporter:?} {line}");
            }
        }
    }
}

#[test]
fn spans_without_an_exporter_are_not_counted_as_lost() {
    let builder = Telemetry::builder("users")
        .traces(TracesExporter::None)
        .sampler(Sampler::ratio(1.0))
        .metrics(MetricsExporter::None)
        .queue_size(1);
    let (telemetry, layers) = builder.local().unwrap();
    let subscriber = tracing_subscriber::registry().with(layers);
    tracing::subscriber::with_default(subscriber, || {
        for _ in 0..10_000 {
            tracing::info_span!("work").in_scope(|| {});
        }
    });
    telemetry.shutdown(collector::TIMEOUT).unwrap();
    assert_eq!(telemetry.dropped_spans().total(), 0);
}
