//! What held traces may take: spans that end after a kept local root, and open spans.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::{
    borrow::Cow,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    trace::{Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{Sampler, SpanData};
use support::{LONG, Memory, Scene, build};
use tower_otel_recorder::{Keep, Recorder, SpanStart};
use tracing::info_span;
use tracing_subscriber::Layer;

/// The bytes of a trace, and of all traces.
const TRACE_BYTES: usize = 512 * 1024;
const ALL_BYTES: usize = 16 * 1024 * 1024;

/// The bytes of texts that every open span may have in addition.
const FREE_BYTES: usize = 1024 + 256;

fn recorder(memory: &Memory) -> Recorder {
    let builder = Recorder::builder(memory.clone())
        .sampler_without_attributes(Sampler::AlwaysOff)
        .queue_size(usize::MAX)
        .queue_bytes(usize::MAX)
        .keep(Keep::errors().per_second(1_000_000));
    build(builder)
}

/// Returns a text of 4000 bytes.
fn text() -> String {
    "x".repeat(4_000)
}

/// The bytes of the texts of spans.
fn bytes<'a>(spans: impl IntoIterator<Item = &'a SpanData>) -> usize {
    let attributes = spans.into_iter().flat_map(|span| &span.attributes);
    let texts = attributes.filter(|attribute| attribute.key.as_str() == "text");
    texts.map(|text| text.value.as_str().len()).sum()
}

#[test]
fn spans_that_start_after_a_kept_root_are_bounded_and_counted() {
    for attributes in [0, 3] {
        let memory = Memory::new(true);
        let recorder = recorder(&memory);
        let tracer = recorder.tracer_provider().tracer("jobs");
        let root = Context::new().with_span(tracer.start("root"));
        // The context keeps the trace after the end of the root.
        root.span().set_status(Status::error(""));
        root.span().end();
        for _ in 0..2_000 {
            let mut span = tracer.start_with_context("poll", &root);
            for _ in 0..attributes {
                span.set_attribute(KeyValue::new("text", text()));
            }
        }
        recorder.flush(LONG).unwrap();
        let spans = memory.spans();
        let limit = TRACE_BYTES / 2048;
        assert!((35..=limit).contains(&spans.len()), "{}", spans.len());
        assert!(bytes(&spans) <= TRACE_BYTES + limit * FREE_BYTES);
        let counts = recorder.counts();
        assert_eq!(counts.exported + counts.not_held, 2_001, "{counts:?}");
        assert_eq!(counts.started, counts.exported);
    }
}

/// How an open span gets its texts.
#[derive(Clone, Copy, Debug)]
enum Source {
    Api,
    Context,
    Attributes,
    Event,
}

const SOURCES: [Source; 4] = [
    Source::Api,
    Source::Context,
    Source::Attributes,
    Source::Event,
];

/// Opens a root with 60 kB of texts. Returns a function that ends it with an error.
fn open(recorder: &Recorder, source: Source) -> Box<dyn FnOnce()> {
    let texts = || (0..15).map(|_| KeyValue::new("text", text()));
    let tracer = recorder.tracer_provider().tracer("api");
    let mut span = match source {
        Source::Attributes => {
            let scope = Arc::new(InstrumentationScope::builder("direct").build());
            let start = SpanStart {
                kind: SpanKind::Server,
                base: &Context::new(),
                remote: None,
                link: None,
                at: Instant::now(),
            };
            let name = || (Cow::Borrowed("direct"), Vec::new());
            let started = recorder
                .tracer_with_scope(scope)
                .start_record(start, name, |record| record.set_static_name("direct"));
            // There is no room for the span.
            let mut span = started.span;
            if !span.is_some() {
                return Box::new(|| ());
            }
            for _ in 0..15 {
                span.attributes().unwrap().text("text", &text());
            }
            return Box::new(move || span.set_status(Status::error("")));
        }
        Source::Context => {
            let context = Context::new().with_span(tracer.start("root"));
            context.span().set_attributes(texts());
            return Box::new(move || context.span().set_status(Status::error("")));
        }
        Source::Api | Source::Event => tracer.start("root"),
    };
    match source {
        Source::Event => texts().for_each(|text| span.add_event("event", vec![text])),
        _ => span.set_attributes(texts()),
    }
    Box::new(move || span.set_status(Status::error("")))
}

#[test]
fn open_spans_of_held_traces_have_a_bounded_number_of_bytes() {
    const SPANS: usize = 1_000;
    for source in SOURCES {
        let memory = Memory::new(true);
        let recorder = recorder(&memory);
        for round in 1..=2 {
            let open: Vec<_> = (0..SPANS).map(|_| open(&recorder, source)).collect();
            open.into_iter().for_each(|fail| fail());
            recorder.flush(LONG).unwrap();
            let spans = memory.spans();
            let all = bytes(&spans) + 4_000 * events(&spans);
            let limit = round * (ALL_BYTES + SPANS * FREE_BYTES);
            assert!((round * ALL_BYTES / 2..=limit).contains(&all), "{all}");
            // Each of the texts is there, or dropped and counted.
            let dropped = spans
                .iter()
                .map(|span| span.dropped_attributes_count + span.events.dropped_count);
            let dropped = usize::try_from(dropped.sum::<u32>()).unwrap();
            assert_eq!(dropped + all / 4_000, 15 * spans.len(), "{source:?}");
            let counts = recorder.counts();
            let ended = u64::try_from(round * SPANS).unwrap();
            assert_eq!(counts.exported + counts.not_held, ended, "{source:?}");
        }
    }
}

fn events(spans: &[SpanData]) -> usize {
    spans.iter().map(|span| span.events.len()).sum()
}

#[test]
fn an_open_span_has_all_its_texts_while_there_is_room() {
    for source in SOURCES {
        let memory = Memory::new(true);
        let recorder = recorder(&memory);
        // What a span takes is free after its end.
        for _ in 0..1_000 {
            open(&recorder, source)();
        }
        recorder.flush(LONG).unwrap();
        for span in memory.spans() {
            let texts = span.attributes.len() + span.events.len();
            // With the reason why it was kept.
            assert_eq!(texts, 15 + 1, "{source:?}");
        }
        assert_eq!(memory.spans().len(), 1_000);
    }
}

#[test]
fn a_formatted_value_takes_the_bytes_of_its_text_and_is_formatted_once() {
    struct Formatted<'a>(&'a AtomicUsize);

    impl fmt::Debug for Formatted<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fetch_add(1, SeqCst);
            f.write_str(&"x".repeat(50))?;
            f.write_str(&"y".repeat(50))
        }
    }

    const SPANS: usize = 100;
    let scene = Scene::built(
        |builder| {
            let builder = builder.sampler_without_attributes(Sampler::AlwaysOff);
            builder.keep(Keep::errors().per_second(100_000))
        },
        |layer| layer.boxed(),
    );
    let formatted = AtomicUsize::new(0);
    let text = "x".repeat(1_000);
    let open = (0..SPANS).map(|_| {
        let value = Formatted(&formatted);
        info_span!("span", text, ?value, otel.status_code = "ERROR").entered()
    });
    let mut open: Vec<_> = open.collect();
    while let Some(span) = open.pop() {
        drop(span);
    }
    let spans = scene.spans();
    let counts = scene.recorder.counts();
    assert_eq!((spans.len(), counts.not_held), (SPANS, 0));
    assert!(spans.iter().all(|span| span.dropped_attributes_count == 0));
    assert_eq!(formatted.into_inner(), SPANS);
}
