//! The functions of an application that the layers call, each of which panics.

use std::{fmt::Debug, panic::resume_unwind};

use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator, text_map_propagator::FieldIter},
};
use tower_otel_core::{Filter, HttpOptions, RequestHead, ResponseHead};
use tower_otel_metrics::{MetricsBackend, MetricsLayer};
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;

/// The payload of a function's panic.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Payload(pub(crate) Callback);

/// A function of the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callback {
    SharedFilter,
    SharedRoute,
    TraceFilter,
    TraceRoute,
    RemoteParent,
    Extract,
    MetricsFilter,
    MetricsRoute,
    Label,
    ResponseLabel,
    PropagateFilter,
    Inject,
}

use Callback::*;

pub(crate) const ALL: [Callback; 12] = [
    SharedFilter,
    SharedRoute,
    TraceFilter,
    TraceRoute,
    RemoteParent,
    Extract,
    MetricsFilter,
    MetricsRoute,
    Label,
    ResponseLabel,
    PropagateFilter,
    Inject,
];

impl Callback {
    pub(crate) fn panic(self) -> ! {
        // Unwinds like a panic, without printing a message.
        resume_unwind(Box::new(Payload(self)))
    }

    pub(crate) fn filter(self) -> Filter {
        Filter::new(move |_: &dyn RequestHead| self.panic())
    }

    /// Returns whether a client's layers call the function.
    pub(crate) fn is_called_on_clients(self) -> bool {
        // Client spans do not continue remote parents, and client metrics have no route.
        !matches!(self, RemoteParent | Extract | MetricsRoute)
    }

    pub(crate) fn trace(self, layer: TraceLayer) -> TraceLayer {
        match self {
            SharedFilter => layer.http_options(&HttpOptions::default().filter(self.filter())),
            SharedRoute => layer.http_options(&HttpOptions::default().route(move |_| self.panic())),
            TraceFilter => layer.filter(self.filter()),
            TraceRoute => layer.route(move |_| self.panic()),
            RemoteParent => layer.remote_parent(move |_| self.panic()),
            Extract => layer.propagator(PanickingPropagator(self)),
            _ => layer,
        }
    }

    pub(crate) fn metrics<B: MetricsBackend>(self, layer: MetricsLayer<B>) -> MetricsLayer<B> {
        match self {
            SharedFilter => layer.http_options(&HttpOptions::default().filter(self.filter())),
            SharedRoute => layer.http_options(&HttpOptions::default().route(move |_| self.panic())),
            MetricsFilter => layer.filter(self.filter()),
            MetricsRoute => layer.route(move |_| self.panic()),
            Label => layer.label("tenant", move |_| self.panic()),
            ResponseLabel => {
                layer.response_label("cache", move |_: &dyn ResponseHead| self.panic())
            }
            _ => layer,
        }
    }

    pub(crate) fn propagate(self) -> PropagateLayer {
        match self {
            PropagateFilter => PropagateLayer::new().filter(self.filter()),
            Inject => PropagateLayer::new().propagator(PanickingPropagator(self)),
            _ => PropagateLayer::new(),
        }
    }
}

#[derive(Debug)]
struct PanickingPropagator(Callback);

impl TextMapPropagator for PanickingPropagator {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {
        self.0.panic()
    }

    fn extract_with_context(&self, _: &Context, _: &dyn Extractor) -> Context {
        self.0.panic()
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&[])
    }
}
