//! A panic of the subscriber or of a span neither fails a request nor loses its line.

use std::{panic::resume_unwind, thread, time::Duration};

use opentelemetry::Context;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, Span, SpanData, SpanProcessor},
};
use suite_tests::{
    backend::{Backend, Source},
    response::full,
};
use tower_otel_trace::TraceLayer;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    Layer as SubscriberLayer,
    layer::{self, SubscriberExt},
};

use crate::{
    exchange::{Read, exchange, get, respond},
    log_lines::Lines,
    table::{cases, handler, line},
};

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
            || respond(full("hello")),
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
    for (response, read, short) in cases(
        "
        200, read to the end       => INFO request complete 200
        a panic, read to the head  => WARN request panicked - panic
        ",
    ) {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::registry().with(lines.clone());
        let panicked = tracing::subscriber::with_default(subscriber, || {
            let layer = TraceLayer::server().access_log();
            let layer = layer.tracer_provider(&provider).any_backend();
            exchange(&layer, get("/things/7"), || handler(response), read)
        });
        assert!(panicked, "{short}");
        let lines = lines.0.lock().unwrap().clone();
        let texts = lines.iter().map(|line| &*line.text);
        assert!(texts.eq([&*line(short)]), "{short}: {lines:?}");
    }
}
