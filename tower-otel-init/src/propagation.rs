//! The propagator that is made global, and `OTEL_PROPAGATORS`, which says what it knows.

use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use tower_otel_propagate::{BaggagePropagator, W3cPropagator};

use crate::InitError;
use crate::env::Env;
use crate::options::Propagator;

pub(crate) fn propagator(chosen: &[Propagator]) -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(chosen.iter().filter_map(codec).collect())
}

fn codec(propagator: &Propagator) -> Option<Box<dyn TextMapPropagator + Send + Sync>> {
    Some(match propagator {
        Propagator::TraceContext => Box::new(W3cPropagator::new()),
        Propagator::Baggage => Box::new(BaggagePropagator::new()),
        #[cfg(feature = "b3")]
        Propagator::B3 | Propagator::B3Multi => {
            use opentelemetry_propagator_b3::B3Encoding::{MultipleHeader, SingleHeader};
            let encoding = match propagator {
                Propagator::B3 => SingleHeader,
                _ => MultipleHeader,
            };
            let b3 = opentelemetry_propagator_b3::Propagator::with_encoding(encoding);
            Box::new(crate::flag_normalizer::Foreign(b3))
        }
        #[cfg(feature = "xray")]
        Propagator::Xray => {
            let xray = opentelemetry_aws::trace::XrayPropagator::new();
            Box::new(crate::flag_normalizer::Foreign(xray))
        }
        // Refused where their features are off.
        #[cfg(not(feature = "b3"))]
        Propagator::B3 | Propagator::B3Multi => return None,
        #[cfg(not(feature = "xray"))]
        Propagator::Xray => return None,
        Propagator::None => return None,
    })
}

/// The words that are known, each once. `none` stands alone.
pub(crate) fn resolve(env: &mut Env<'_>) -> Result<Vec<Propagator>, InitError> {
    const NAME: &str = "OTEL_PROPAGATORS";
    let default = || vec![Propagator::TraceContext, Propagator::Baggage];
    let Some(list) = env.get(NAME) else {
        return Ok(default());
    };
    let words = list.split(',').map(str::trim);
    let mut chosen = Vec::new();
    let mut unknown = Vec::new();
    for word in words.filter(|word| !word.is_empty()) {
        match Propagator::parse(word) {
            Some(Propagator::None) => return Ok(Vec::new()),
            Some(propagator) if chosen.contains(&propagator) => {}
            Some(propagator) => {
                available(propagator)?;
                chosen.push(propagator);
            }
            None => unknown.push(word),
        }
    }
    if chosen.is_empty() {
        chosen = default();
    }
    for word in unknown {
        let reason = match word {
            "jaeger" | "ottrace" => {
                format!("there is no maintained propagator for `{word}` and OpenTelemetry 0.33")
            }
            _ => format!("accepted is {}", Propagator::ACCEPTED),
        };
        let used: Vec<_> = chosen.iter().map(Propagator::to_string).collect();
        env.warn(NAME, word, reason, used.join(","));
    }
    Ok(chosen)
}

fn available(propagator: Propagator) -> Result<(), InitError> {
    let (feature, enabled) = match propagator {
        Propagator::B3 | Propagator::B3Multi => ("b3", cfg!(feature = "b3")),
        Propagator::Xray => ("xray", cfg!(feature = "xray")),
        Propagator::TraceContext | Propagator::Baggage | Propagator::None => return Ok(()),
    };
    if enabled {
        return Ok(());
    }
    Err(InitError::Feature {
        wanted: format!("the propagator {propagator}"),
        feature,
    })
}

#[cfg(test)]
#[path = "propagation_tests.rs"]
mod tests;
