//! More spans of held traces than have a place in the table of spans. A separate program, because the table belongs to the process.

#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::sync::mpsc;

use opentelemetry::{
    Context, KeyValue,
    trace::{Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::Sampler;
use support::{LONG, Scene};
use tower_otel_recorder::{Keep, RecorderSpanExt};
use tracing::info_span;
use tracing_subscriber::Layer;

/// A scene whose traces are not sampled, and kept if they fail.
fn scene() -> Scene {
    let roots = Sampler::TraceIdRatioBased(0.0);
    let sampler = Sampler::ParentBased(Box::new(roots));
    Scene::built(
        |builder| {
            let builder = builder.sampler_without_attributes(sampler);
            builder.keep(Keep::errors().per_second(100_000))
        },
        |layer| layer.boxed(),
    )
}

/// The table of spans is full. So many roots add their trace to their context, and some spans of the tracer are not held.
#[test]
fn spans_below_many_live_roots_start_without_the_lock_of_their_parent() {
    let (sender, spans) = mpsc::channel();
    std::thread::spawn(move || {
        let scene = scene();
        let tracer = scene.recorder.tracer_provider().tracer("api");
        let load = |row| info_span!("load").in_scope(|| KeyValue::new("row", row));
        let set_rows = || {
            let rows = std::iter::once(1).map(load);
            Context::current().span().set_attributes(rows);
        };
        let roots: Vec<_> = (0..4_500).map(|_| info_span!("root")).collect();
        roots
            .iter()
            .step_by(12)
            .for_each(|root| root.in_scope(set_rows));
        let start = |root: &tracing::Span| {
            root.set_status(Status::error(""));
            let _entered = root.enter();
            let api = tracer.start("api");
            let context = Context::current_with_span(api);
            let _entered = context.clone().attach();
            set_rows();
            context
        };
        let apis: Vec<_> = roots.iter().step_by(3).map(start).collect();
        drop((apis, roots));
        sender.send((scene.spans(), scene.recorder.counts().not_held))
    });
    let (spans, not_held) = spans.recv_timeout(LONG).unwrap();
    let count = |name| spans.iter().filter(|span| span.name == name).count();
    let not_held = usize::try_from(not_held).unwrap();
    assert_eq!((count("root"), count("api") + not_held), (1_500, 1_500));
    assert_eq!(count("load"), 375 + count("api"));
    assert!((1..1_000).contains(&not_held), "{not_held}");
}
