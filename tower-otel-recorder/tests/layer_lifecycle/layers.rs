//! Several layers, layers that are added later, and reused records.

use crate::support::{LONG, Memory, Scene, assert_root, build, fields};
use opentelemetry::{
    Context, KeyValue,
    trace::{Status, TraceContextExt},
};
use tower_otel_recorder::{Recorder, RecorderLayer, RecorderSpanExt};
use tracing::{Span, dispatcher, info, info_span};
use tracing_subscriber::{Layer, layer::SubscriberExt, reload};

#[test]
fn a_second_layer_records_nothing() {
    let scene = Scene::new();
    let memories = [Memory::new(true), Memory::new(true)];
    let recorders = memories
        .clone()
        .map(|memory| build(Recorder::builder(memory)));
    let subscriber = tracing_subscriber::registry()
        .with(recorders[0].layer())
        .with(recorders[1].layer());
    tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("span", late = tracing::field::Empty);
        span.in_scope(|| info!("event"));
        span.record("late", 1);
        span.set_attribute("set", 2);
    });
    for recorder in &recorders {
        recorder.flush(LONG).unwrap();
    }
    let [first, second] = memories.map(|memory| memory.spans());
    assert_eq!((first.len(), second.len()), (1, 0));
    assert_eq!(fields(&first[0].attributes), ["late=1", "set=2"]);
    assert_eq!(first[0].events.events.len(), 1);
    assert_eq!(scene.spans().len(), 0);
}

#[test]
fn a_layer_and_its_clone_in_another_subscriber_record_their_own_spans() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    let layer = recorder.layer();
    let subscribers = [layer.clone(), layer].map(|layer| {
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::Dispatch::new(subscriber)
    });
    // Both registries give their first span the same id.
    let spans = subscribers
        .each_ref()
        .map(|subscriber| dispatcher::with_default(subscriber, || info_span!("span")));
    let [one, other] = spans.each_ref().map(RecorderSpanExt::context);
    assert_ne!(one.span().span_context(), other.span().span_context());
    one.span().set_attribute(KeyValue::new("key", 1));
    drop(spans);
    recorder.flush(LONG).unwrap();
    let attributes = memory
        .spans()
        .iter()
        .map(|span| span.attributes.len())
        .sum::<usize>();
    assert_eq!((memory.spans().len(), attributes), (2, 1 + 2 * 3));
}

#[test]
fn a_layer_can_be_added_later() {
    let memory = Memory::new(true);
    let recorder = build(Recorder::builder(memory.clone()));
    let (layer, handle) = reload::Layer::new(None::<RecorderLayer>);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let open = info_span!("open", late = tracing::field::Empty);
        open.in_scope(|| {
            handle.reload(Some(recorder.layer())).unwrap();
            open.record("late", 1);
            info_span!("span").in_scope(|| info!("event"));
        });
    });
    recorder.flush(LONG).unwrap();
    assert_eq!(memory.spans().len(), 1);
    assert_root(&memory.spans()[0]);
}

#[test]
fn a_value_of_the_context_may_use_tracing_when_it_is_dropped() {
    struct Logs(Span);
    impl Drop for Logs {
        fn drop(&mut self) {
            self.0.in_scope(|| info!("dropped"));
            self.0.record("late", 1);
        }
    }
    let scene = Scene::new();
    let other = info_span!("other", late = tracing::field::Empty);
    {
        let _attached = Context::current_with_value(Logs(other)).attach();
        info_span!("a").in_scope(|| drop(info_span!("b")));
    }
    assert_eq!(scene.spans().len(), 3);
    assert_eq!(scene.span("other").events.events.len(), 1);
}

#[test]
fn spans_have_the_scope_of_the_layer() {
    use opentelemetry::InstrumentationScope;
    let scene = Scene::built(
        |builder| builder,
        |layer| {
            layer
                .scope(InstrumentationScope::builder("shop").build())
                .boxed()
        },
    );
    drop(info_span!("span"));
    assert_eq!(scene.span("span").instrumentation_scope.name(), "shop");
    let scene = Scene::new();
    drop(info_span!("span"));
    let scope = scene.span("span").instrumentation_scope;
    assert_eq!(scope.name(), "tower-otel-recorder");
}

#[test]
fn records_are_reused_without_traces_of_the_last_span() {
    let scene = Scene::new();
    for n in 0..3_i64 {
        info_span!("span", n, otel.kind = "server", otel.status_code = "ERROR").in_scope(|| {
            info!(n, "event");
            Context::current()
                .span()
                .set_attribute(KeyValue::new("late", n));
        });
        scene.recorder.flush(LONG).unwrap();
        drop(info_span!("plain"));
        scene.recorder.flush(LONG).unwrap();
    }
    let spans = scene.spans();
    assert_eq!(spans.len(), 6);
    for plain in spans.iter().filter(|span| span.name == "plain") {
        assert_eq!(fields(&plain.attributes), [""; 0]);
        assert_eq!(plain.events.events.len(), 0);
        assert_eq!(plain.status, Status::Unset);
        assert_eq!(plain.span_kind, opentelemetry::trace::SpanKind::Internal);
    }
}
