//! Code that runs while a context is propagated may attach contexts itself.

#![allow(clippy::unwrap_used, missing_docs)]

use std::convert::Infallible;

use http::{Request, Response};
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
};
use tower::{Layer as _, Service, service_fn};
use tower_otel_propagate::{PropagateLayer, Propagation};
use tracing_subscriber::{Layer, layer::SubscriberExt};

/// Attaches a context, as the log processors of opentelemetry_sdk do.
fn attach() {
    let _attached = Context::enter_telemetry_suppressed_scope();
}

struct AttachOnEvent;

impl<S: tracing::Subscriber> Layer<S> for AttachOnEvent {
    fn on_event(&self, _: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        attach();
    }
}

#[derive(Debug)]
struct AttachingPropagator;

impl TextMapPropagator for AttachingPropagator {
    fn inject_context(&self, _: &Context, injector: &mut dyn Injector) {
        attach();
        injector.set("x-injected", "yes".to_owned());
    }

    fn extract_with_context(&self, cx: &Context, _: &dyn Extractor) -> Context {
        attach();
        cx.clone()
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}

/// Sends a request and returns whether it has this header.
fn sends(layer: &PropagateLayer, header: &str) -> bool {
    let mut has_header = false;
    let mut service = layer.layer(service_fn(|request: Request<()>| {
        has_header = request.headers().contains_key(header);
        std::future::ready(Ok::<_, Infallible>(Response::new(())))
    }));
    drop(service.call(Request::get("http://a.example/").body(()).unwrap()));
    drop(service);
    has_header
}

#[test]
fn a_log_processor_may_attach_a_context_for_the_warning_of_a_missing_context() {
    let subscriber = tracing_subscriber::registry().with(AttachOnEvent);
    tracing::subscriber::with_default(subscriber, || {
        let _span = tracing::info_span!("client").entered();
        assert!(!sends(&PropagateLayer::new(), "traceparent"));
    });
}

#[test]
fn a_propagator_may_attach_a_context() {
    let custom = PropagateLayer::new().propagator(AttachingPropagator);
    assert!(sends(&custom, "x-injected"));
    opentelemetry::global::set_text_map_propagator(AttachingPropagator);
    let global = PropagateLayer::new().propagator(Propagation::global());
    assert!(sends(&global, "x-injected"));
}
