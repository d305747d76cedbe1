//! The propagator that is made global, and `OTEL_PROPAGATORS`, which says what it knows.

use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry_sdk::propagation::BaggagePropagator;
use tower_otel_propagate::W3cPropagator;

use crate::choice::Propagator;
use crate::env::Env;

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

/// The words that are known, each once. `none` stands alone.
pub(crate) fn resolve(env: &mut Env<'_>) -> Vec<Propagator> {
    const NAME: &str = "OTEL_PROPAGATORS";
    let Some(list) = env.get(NAME) else {
        return vec![Propagator::TraceContext, Propagator::Baggage];
    };
    let mut chosen = Vec::new();
    for word in list
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        match Propagator::parse(word) {
            Some(Propagator::None) => return Vec::new(),
            Some(propagator) if chosen.contains(&propagator) => {}
            Some(propagator) => chosen.push(propagator),
            None => {
                let reason = match word {
                    "b3" | "b3multi" | "jaeger" | "xray" | "ottrace" => {
                        format!("no maintained propagator for `{word}` is built in")
                    }
                    _ => format!("accepted is {}", Propagator::ACCEPTED),
                };
                env.warn(
                    NAME,
                    word,
                    reason,
                    "the others, or tracecontext and baggage",
                );
            }
        }
    }
    if chosen.is_empty() {
        chosen = vec![Propagator::TraceContext, Propagator::Baggage];
    }
    chosen
}
