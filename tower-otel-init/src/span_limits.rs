//! The variables of span limits.
//!
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#span-limits>

use opentelemetry_sdk::trace::SpanLimits;

use crate::env::Env;

const INVALID_COUNT: &str = "is not a count (expected a whole number from 0 to 4294967295)";

/// Returns the limits of the variables, else the defaults of the SDK.
pub(crate) fn resolve(env: &mut Env<'_>) -> SpanLimits {
    let default = SpanLimits::default();
    let mut limit = |names: &[&str], default| {
        env.first_valid(names, |text| text.parse().ok(), INVALID_COUNT, default)
    };
    const COMMON: &str = "OTEL_ATTRIBUTE_COUNT_LIMIT";
    SpanLimits {
        max_attributes_per_span: limit(
            &["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", COMMON],
            default.max_attributes_per_span,
        ),
        max_events_per_span: limit(
            &["OTEL_SPAN_EVENT_COUNT_LIMIT"],
            default.max_events_per_span,
        ),
        max_links_per_span: limit(&["OTEL_SPAN_LINK_COUNT_LIMIT"], default.max_links_per_span),
        max_attributes_per_event: limit(
            &["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"],
            default.max_attributes_per_event,
        ),
        max_attributes_per_link: limit(
            &["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"],
            default.max_attributes_per_link,
        ),
    }
}
