//! The access log: one line for each exchange, however it ends, with every span backend.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    fmt::{self, Write},
    future::{Future, pending},
    io,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    sync::{Arc, Mutex},
    task::{Context as TaskContext, Poll, Waker},
    thread,
    time::Duration,
};

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use opentelemetry::{
    Context,
    trace::{TraceContextExt, TraceId, TracerProvider},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use suite_tests::{
    backend::{AnyTraceLayer, Backend, Source, records_tracing},
    net::{BoxError, ScriptedBody, Step},
};
use tower::{Layer, Service, service_fn};
use tower_otel_core::Filter;
use tower_otel_trace::{Recorder, TraceLayer};
use tracing::{Event, Subscriber, field::Visit};
use tracing_subscriber::{
    Layer as SubscriberLayer,
    filter::{DynFilterFn, LevelFilter},
    layer::{self, Filter as LayerFilter, SubscriberExt},
    registry::LookupSpan,
};

type BoxedResponse = Response<UnsyncBoxBody<bytes::Bytes, BoxError>>;
type Handler = fn() -> HandlerFuture;
type HandlerFuture = Pin<Box<dyn Future<Output = Result<BoxedResponse, io::Error>>>>;

/// A line of the access log.
#[derive(Clone, Debug)]
struct Line {
    /// Level, message and fields, without the duration.
    text: String,
    duration_ms: f64,
    trace: TraceId,
    is_in_span: bool,
}

/// A layer that collects the lines of the access log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<Line>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> SubscriberLayer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, context: layer::Context<'_, S>) {
        if event.metadata().target() != "tower_otel_trace::access_log" {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        self.0.lock().unwrap().push(Line {
            text: format!(
                "{} {}{}",
                event.metadata().level(),
                fields.message,
                fields.others
            ),
            duration_ms: fields.duration_ms.unwrap(),
            trace: Context::current().span().span_context().trace_id(),
            is_in_span: context.event_span(event).is_some(),
        });
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: String,
    duration_ms: Option<f64>,
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &tracing::field::Field, value: f64) {
        assert_eq!(field.name(), "duration_ms");
        self.duration_ms = Some(value);
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        write!(self.others, " {field}={value}").unwrap();
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            _ => write!(self.others, " {field}={value:?}").unwrap(),
        }
    }
}

/// The records of one exchange.
struct Recorded {
    lines: Vec<Line>,
    spans: Vec<SpanData>,
}

/// A filter for one of the two layers that export `tracing` spans.
fn backend_filter<S>(is_recorder: bool) -> impl LayerFilter<S> {
    DynFilterFn::new(move |metadata, _| {
        records_tracing() == is_recorder && *metadata.level() <= LevelFilter::INFO
    })
}

/// Runs an exchange with a backend on a separate thread, because a panic leaves the state of a subscriber's filters
/// undefined.
fn record(
    backend: Backend,
    sampler: Sampler,
    exchange: impl FnOnce(&dyn Fn(TraceLayer) -> AnyTraceLayer) + Send,
) -> Recorded {
    let run = || {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .with_sampler(sampler.clone())
            .build();
        let recorder = Recorder::builder(exporter.clone()).sampler(sampler);
        let source = Source {
            provider: provider.clone(),
            recorder: Arc::new(recorder.build().unwrap()),
        };
        let lines = Lines::default();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("a test"));
        let subscriber = tracing_subscriber::registry()
            .with(lines.clone())
            .with(spans.with_filter(backend_filter(false)))
            .with(source.recorder.layer().with_filter(backend_filter(true)));
        let subscriber = tracing::subscriber::set_default(subscriber);
        exchange(&|layer| backend.layer(&source, layer));
        drop(subscriber);
        source.recorder.flush(Duration::from_secs(20)).unwrap();
        let lines = lines.0.lock().unwrap().clone();
        Recorded {
            lines,
            spans: exporter.get_finished_spans().unwrap(),
        }
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

fn boxed(
    body: impl Body<Data = bytes::Bytes, Error: Into<BoxError>> + Send + 'static,
) -> BoxedResponse {
    Response::new(body.map_err(Into::into).boxed_unsync())
}

fn full() -> BoxedResponse {
    boxed(Full::from("hello"))
}

fn status(status: StatusCode) -> BoxedResponse {
    let mut response = full();
    *response.status_mut() = status;
    response
}

fn scripted(steps: impl IntoIterator<Item = Step>) -> BoxedResponse {
    boxed(ScriptedBody::new(steps))
}

/// Returns the response to a unary gRPC call, with this status in its trailers.
fn grpc(status: &'static str) -> BoxedResponse {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    let frames = [
        Ok::<_, BoxError>(Frame::data("12345".into())),
        Ok(Frame::trailers(trailers)),
    ];
    let mut response = boxed(StreamBody::new(tokio_stream::iter(frames)));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    response
}

/// Returns the response to a refused gRPC call, with this status in its head.
fn refused(status: &'static str) -> BoxedResponse {
    let mut response = boxed(Full::default());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert("grpc-status", HeaderValue::from_static(status));
    response
}

fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

fn call(path: &str) -> Request<()> {
    let request = Request::post(path).version(http::Version::HTTP_2);
    let request = request.header(header::CONTENT_TYPE, "application/grpc");
    request.body(()).unwrap()
}

/// The part of the response that the caller reads.
#[derive(Clone, Copy, Debug)]
enum Read {
    /// Polls the future once, and drops it.
    Head,
    /// Reads one frame, and drops the body.
    OneFrame,
    ToTheEnd,
}

/// Sends a request through the layer, without a runtime. Returns whether the exchange panicked.
fn exchange(layer: &AnyTraceLayer, request: Request<()>, handler: Handler, read: Read) -> bool {
    let run = || {
        let mut service = layer.layer(service_fn(|_: Request<()>| handler()));
        let cx = &mut TaskContext::from_waker(Waker::noop());
        let future = service.call(request);
        let Poll::Ready(Ok(response)) = pin!(future).poll(cx) else {
            return;
        };
        let mut body = pin!(response.into_body());
        let mut frame = || {
            body.as_mut()
                .poll_frame(&mut TaskContext::from_waker(Waker::noop()))
        };
        match read {
            Read::Head => {}
            Read::OneFrame => drop(frame()),
            Read::ToTheEnd => while let Poll::Ready(Some(Ok(_))) = frame() {},
        }
    };
    catch_unwind(AssertUnwindSafe(run)).is_err()
}

fn respond(response: BoxedResponse) -> HandlerFuture {
    Box::pin(async { Ok(response) })
}

/// The access log line of a server's exchange, its handler, and the part of the response that is read.
const ENDS: [(&str, Handler, Read); 11] = [
    (
        "INFO request complete 200",
        || respond(full()),
        Read::ToTheEnd,
    ),
    (
        "INFO request complete 404",
        || respond(status(StatusCode::NOT_FOUND)),
        Read::ToTheEnd,
    ),
    (
        "WARN request complete 503 503",
        || respond(status(StatusCode::SERVICE_UNAVAILABLE)),
        Read::ToTheEnd,
    ),
    (
        "INFO request complete 204",
        || respond(status(StatusCode::NO_CONTENT)),
        Read::Head,
    ),
    (
        "INFO request upgraded 101",
        || respond(status(StatusCode::SWITCHING_PROTOCOLS)),
        Read::Head,
    ),
    (
        "WARN request failed - timeout",
        || Box::pin(async { Err(io::ErrorKind::TimedOut.into()) }),
        Read::Head,
    ),
    (
        "WARN request failed 200 timeout",
        || respond(scripted([Step::Data("a"), Step::Error])),
        Read::ToTheEnd,
    ),
    (
        "WARN request cancelled - cancelled",
        || Box::pin(pending()),
        Read::Head,
    ),
    (
        "WARN request aborted 200 aborted",
        || respond(scripted([Step::Data("a"), Step::Pending])),
        Read::OneFrame,
    ),
    (
        "WARN request panicked - panic",
        || Box::pin(async { panic!("the handler") }),
        Read::Head,
    ),
    (
        "WARN request panicked 200 panic",
        || respond(scripted([Step::Data("a"), Step::Panic])),
        Read::ToTheEnd,
    ),
];

/// Returns the text of a line from its short form: level, two words of the message, status and error.
fn line(short: &str) -> String {
    let mut words = short.split(' ');
    let mut next = || words.next().unwrap_or("-");
    let mut text = format!(
        "{} {} {} http.request.method=GET url.path=/things/7",
        next(),
        next(),
        next()
    );
    for key in ["http.response.status_code", "error.type"] {
        match next() {
            "-" => {}
            value => write!(text, " {key}={value}").unwrap(),
        }
    }
    text
}

#[test]
fn each_end_of_a_servers_exchange_is_one_line_in_its_trace() {
    for backend in Backend::ALL {
        for sampler in [Sampler::AlwaysOn, Sampler::AlwaysOff] {
            for (short, handler, read) in ENDS {
                let case = format!("{backend:?}, {sampler:?}: {short}");
                let recorded = record(backend, sampler.clone(), |with_backend| {
                    let layer = with_backend(TraceLayer::server().access_log());
                    let panicked = exchange(&layer, get("/things/7"), handler, read);
                    assert_eq!(panicked, short.contains("panicked"), "{short}");
                });
                let [one] = &recorded.lines[..] else {
                    panic!("{case}: {:#?}", recorded.lines);
                };
                assert_eq!(one.text, line(short), "{case}");
                assert!(!one.is_in_span, "{case}");
                assert_ne!(one.trace, TraceId::INVALID, "{case}");
                for span in &recorded.spans {
                    assert_eq!(one.trace, span.span_context.trace_id(), "{case}");
                    assert!(span.events.is_empty(), "{case}: {span:#?}");
                }
            }
        }
    }
}

#[test]
fn the_duration_is_that_of_the_span() {
    for backend in [Backend::Tracer, Backend::Recorder] {
        let recorded = record(backend, Sampler::AlwaysOn, |with_backend| {
            let layer = with_backend(TraceLayer::server().access_log());
            let spins: Handler = || {
                for _ in 0..10_000 {
                    std::hint::black_box(0);
                }
                respond(full())
            };
            exchange(&layer, get("/"), spins, Read::ToTheEnd);
        });
        let span = &recorded.spans[0];
        let span = span.end_time.duration_since(span.start_time).unwrap();
        let difference = span.as_secs_f64() * 1e3 - recorded.lines[0].duration_ms;
        assert!(difference.abs() <= 0.002, "{backend:?}: {difference}");
    }
}

#[test]
fn lines_are_off_by_default_and_requests_that_are_filtered_out_have_none() {
    for backend in Backend::ALL {
        let recorded = record(backend, Sampler::AlwaysOn, |with_backend| {
            let off = with_backend(TraceLayer::server());
            exchange(&off, get("/"), || respond(full()), Read::ToTheEnd);
            let filter = Filter::skip_paths(["/health"]);
            let filtered = with_backend(TraceLayer::server().filter(filter).access_log());
            exchange(
                &filtered,
                get("/health"),
                || respond(full()),
                Read::ToTheEnd,
            );
        });
        assert!(recorded.lines.is_empty(), "{:#?}", recorded.lines);
    }
}

#[test]
fn queries_are_redacted_urls_have_no_credentials_and_texts_are_bounded() {
    let long = "x".repeat(10_000);
    for backend in Backend::ALL {
        let recorded = record(backend, Sampler::AlwaysOn, |with_backend| {
            let server = with_backend(TraceLayer::server().access_log());
            let client = with_backend(TraceLayer::client().access_log());
            for (layer, uri) in [
                (&server, "/a?page=2&sig=c4n4ry"),
                (&client, "http://user:c4n4ry@stock/a?page=2&sig=c4n4ry"),
                (&server, &format!("/{long}?{long}")),
            ] {
                exchange(layer, get(uri), || respond(full()), Read::ToTheEnd);
            }
        });
        let texts: Vec<_> = recorded.lines.iter().map(|line| &*line.text).collect();
        let [server, client, bounded] = texts[..] else {
            panic!("{backend:?}: {texts:#?}");
        };
        assert_eq!(
            server,
            "INFO request complete http.request.method=GET url.path=/a url.query=page=2&sig=REDACTED \
             http.response.status_code=200"
        );
        assert!(client.contains("url.full=http://"), "{client}");
        assert!(client.contains("stock/a?page=2&sig=REDACTED"), "{client}");
        assert!(!client.contains("c4n4ry"), "{client}");
        assert!(bounded.len() < 2 * 4096 + 200, "{}", bounded.len());
    }
}

#[test]
fn a_client_has_a_line_for_each_end_and_its_own_rule_for_errors() {
    for (expected, handler, read) in [
        (
            "WARN request complete 404 404",
            (|| respond(status(StatusCode::NOT_FOUND))) as Handler,
            Read::ToTheEnd,
        ),
        (
            "INFO request cancelled -",
            || Box::pin(pending()),
            Read::Head,
        ),
        (
            "WARN request failed - timeout",
            || Box::pin(async { Err(io::ErrorKind::TimedOut.into()) }),
            Read::Head,
        ),
    ] {
        let recorded = record(Backend::Recorder, Sampler::AlwaysOn, |with_backend| {
            let layer = with_backend(TraceLayer::client().access_log());
            exchange(&layer, get("http://stock/things/7"), handler, read);
        });
        let expected = line(expected).replace("url.path=", "url.full=http://stock");
        assert_eq!(recorded.lines[0].text, expected);
    }
}

#[test]
fn a_grpc_call_has_its_method_and_its_status_also_if_it_is_not_sampled() {
    for backend in Backend::ALL {
        for sampler in [Sampler::AlwaysOn, Sampler::AlwaysOff] {
            for (expected, handler, read) in [
                (
                    "INFO request complete OK",
                    (|| respond(grpc("0"))) as Handler,
                    Read::ToTheEnd,
                ),
                (
                    "WARN request complete INTERNAL",
                    || respond(grpc("13")),
                    Read::ToTheEnd,
                ),
                (
                    "INFO request complete UNAUTHENTICATED",
                    || respond(refused("16")),
                    Read::Head,
                ),
                (
                    "INFO request cancelled CANCELLED",
                    || Box::pin(pending()),
                    Read::Head,
                ),
            ] {
                let recorded = record(backend, sampler.clone(), |with_backend| {
                    let layer = with_backend(TraceLayer::server().grpc().access_log());
                    exchange(&layer, call("/shop.Stock/Get"), handler, read);
                });
                let (message, status) = expected.rsplit_once(' ').unwrap();
                let mut expected =
                    format!("{message} rpc.method=shop.Stock/Get rpc.status_code={status}");
                if status == "INTERNAL" {
                    expected += " error.type=INTERNAL";
                }
                let texts: Vec<_> = recorded.lines.iter().map(|line| &line.text).collect();
                assert_eq!(texts, [&expected], "{backend:?}");
            }
        }
    }
}

/// A layer that panics when a line is written.
struct Panics;

impl<S: Subscriber> SubscriberLayer<S> for Panics {
    fn on_event(&self, _: &Event<'_>, _: layer::Context<'_, S>) {
        panic!("no disk");
    }
}

#[test]
fn a_panic_of_the_subscriber_is_no_panic_of_the_request() {
    let run = || {
        let source = Source::discarding();
        let subscriber = tracing_subscriber::registry().with(Panics);
        let _subscriber = tracing::subscriber::set_default(subscriber);
        let layer = Backend::Recorder.layer(&source, TraceLayer::server().access_log());
        assert!(!exchange(
            &layer,
            get("/"),
            || respond(full()),
            Read::ToTheEnd
        ));
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap());
}

/// A span processor that panics when a span ends.
#[derive(Debug)]
struct PanickingEnd;

impl SpanProcessor for PanickingEnd {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {
        // Unwinds like a panic, without printing a message.
        resume_unwind(Box::new("of the processor"));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[test]
fn a_span_whose_end_panics_leaves_a_line_also_while_the_handler_unwinds() {
    let provider = SdkTracerProvider::builder()
        .with_span_processor(PanickingEnd)
        .build();
    for (short, handler, read) in [ENDS[0], ENDS[9]] {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        let panicked = tracing::subscriber::with_default(subscriber, || {
            let layer = TraceLayer::server().access_log();
            let layer = layer.tracer_provider(&provider).any_backend();
            exchange(&layer, get("/things/7"), handler, read)
        });
        assert!(panicked, "{short}");
        let lines = lines.0.lock().unwrap().clone();
        let texts = lines.iter().map(|line| &*line.text);
        assert!(texts.eq([&*line(short)]), "{short}: {lines:?}");
    }
}
