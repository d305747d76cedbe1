//! The propagator that is made global.

use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_sdk::propagation::BaggagePropagator;
use tower_otel_propagate::W3cPropagator;

use crate::choice::Propagator;

pub(crate) fn propagator(chosen: &[Propagator]) -> TextMapCompositePropagator {
    let all = chosen.iter().filter_map(|propagator| {
        let propagator: Box<dyn TextMapPropagator + Send + Sync> = match propagator {
            Propagator::TraceContext => Box::new(W3cPropagator::new()),
            Propagator::Baggage => Box::new(BaggagePropagator::new()),
            Propagator::None => return None,
        };
        Some(propagator)
    });
    TextMapCompositePropagator::new(all.collect())
}
