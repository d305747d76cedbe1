//! `OTEL_PROPAGATORS` and the global propagator.

use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use tower_otel_propagate::{BaggagePropagator, W3cPropagator};

use crate::env::Env;
use crate::error::InitError;
#[cfg(any(feature = "b3", feature = "xray"))]
use crate::flag_normalizer::FlagNormalizer;
use crate::options::{ChoiceSetting, Propagator};

pub(crate) fn composite(propagators: &[Propagator]) -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(propagators.iter().filter_map(build).collect())
}

fn build(propagator: &Propagator) -> Option<Box<dyn TextMapPropagator + Send + Sync>> {
    Some(match propagator {
        Propagator::TraceContext => Box::new(W3cPropagator::default()),
        Propagator::Baggage => Box::new(BaggagePropagator::default()),
        #[cfg(feature = "b3")]
        Propagator::B3 | Propagator::B3Multi => {
            use opentelemetry_propagator_b3::B3Encoding::{MultipleHeader, SingleHeader};
            let encoding = match propagator {
                Propagator::B3 => SingleHeader,
                _ => MultipleHeader,
            };
            let b3 = opentelemetry_propagator_b3::Propagator::with_encoding(encoding);
            Box::new(FlagNormalizer(b3))
        }
        #[cfg(feature = "xray")]
        Propagator::Xray => Box::new(FlagNormalizer(
            opentelemetry_aws::trace::XrayPropagator::new(),
        )),
        // `resolve` returns an error for these propagators.
        #[cfg(not(feature = "b3"))]
        Propagator::B3 | Propagator::B3Multi => return None,
        #[cfg(not(feature = "xray"))]
        Propagator::Xray => return None,
        Propagator::None => return None,
    })
}

/// Returns the known propagators of the variable in their order, without duplicates. Returns an empty list if
/// the variable contains `none`.
pub(crate) fn resolve(env: &mut Env<'_>) -> Result<Vec<Propagator>, InitError> {
    const VARIABLE: &str = "OTEL_PROPAGATORS";
    let default = || vec![Propagator::TraceContext, Propagator::Baggage];
    let Some(list) = env.get(VARIABLE) else {
        return Ok(default());
    };
    let names = list.split(',').map(str::trim);
    let mut propagators = Vec::new();
    let mut unknown = Vec::new();
    for name in names.filter(|name| !name.is_empty()) {
        match Propagator::parse(name) {
            Some(Propagator::None) => return Ok(Vec::new()),
            Some(propagator) if propagators.contains(&propagator) => {}
            Some(propagator) => {
                require_feature(propagator)?;
                propagators.push(propagator);
            }
            None => unknown.push(name),
        }
    }
    if propagators.is_empty() {
        propagators = default();
    }
    for name in unknown {
        let reason = match name {
            "jaeger" | "ottrace" => "has no maintained propagator for OpenTelemetry 0.33",
            _ => Propagator::INVALID,
        };
        let used: Vec<_> = propagators.iter().map(Propagator::as_str).collect();
        env.warn(VARIABLE, name, reason, used.join(","));
    }
    Ok(propagators)
}

fn require_feature(propagator: Propagator) -> Result<(), InitError> {
    let (feature, enabled) = match propagator {
        Propagator::B3 | Propagator::B3Multi => ("b3", cfg!(feature = "b3")),
        Propagator::Xray => ("xray", cfg!(feature = "xray")),
        Propagator::TraceContext | Propagator::Baggage | Propagator::None => return Ok(()),
    };
    if enabled {
        return Ok(());
    }
    Err(InitError::missing_feature(
        &format!("the propagator {}", propagator.as_str()),
        feature,
    ))
}

#[cfg(test)]
#[path = "propagation_tests.rs"]
mod tests;
