//! A panic or a call from inside of a span leaves the held spans intact.

use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
    time::Instant,
};

use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    trace::{SpanKind, Status, TraceContextExt},
};
use tower_otel_recorder::SpanStart;
use tracing::info_span;

use crate::{
    scene::{fail, rules, scene, start_direct},
    support::LONG,
};

#[test]
fn a_panic_while_a_span_is_written_frees_its_place() {
    let scene = scene(rules());
    let scope = Arc::new(InstrumentationScope::builder("direct").build());
    let tracer = scene.recorder.tracer_with_scope(scope);
    let root = info_span!("root").entered();
    for base in [Context::new(), Context::current()] {
        for _ in 0..10_000 {
            let start = SpanStart {
                kind: SpanKind::Server,
                base: &base,
                remote: None,
                link: None,
                at: Instant::now(),
            };
            let name = || (Cow::Borrowed("span"), Vec::new());
            let started = catch_unwind(AssertUnwindSafe(|| {
                tracer.start_record(start, name, |_| std::panic::resume_unwind(Box::new(())))
            }));
            assert!(started.is_err());
        }
    }
    fail(&root);
    drop(root);
    assert_eq!(scene.spans().len(), 1);
    let counts = scene.recorder.counts();
    assert_eq!((counts.started, counts.not_held), (1, 0));
}

/// `opentelemetry` reads attributes under the lock of the span in the context.
#[test]
fn a_span_that_starts_while_attributes_of_its_parent_are_read_is_held() {
    let (sender, spans) = mpsc::channel();
    std::thread::spawn(move || {
        let scene = scene(rules());
        let set_rows = || {
            let load = |row| info_span!("load").in_scope(|| KeyValue::new("row", row));
            Context::current().span().set_attributes((0..3).map(load));
        };
        let root = info_span!("root");
        root.in_scope(set_rows);
        root.in_scope(|| info_span!("child").in_scope(set_rows));
        fail(&root);
        drop(root);
        let mut direct = start_direct(&scene.recorder, None, Instant::now());
        let entered = direct.context.take().unwrap().attach();
        set_rows();
        drop(entered);
        direct.span.set_status(Status::error(""));
        drop(direct);
        sender.send(scene.spans())
    });
    let spans = spans.recv_timeout(LONG).unwrap();
    let loads = spans.iter().filter(|span| span.name == "load");
    assert_eq!((loads.count(), spans.len()), (9, 12));
}
