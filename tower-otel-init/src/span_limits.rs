//! The variables of span limits.
//!
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#span-limits>

use opentelemetry_sdk::trace::SpanLimits;

use crate::env::Env;

const INVALID_COUNT: &str = "is not a count (expected a whole number from 0 to 4294967295)";

#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanLimitConfig {
    /// The limits of attributes, events and links.
    pub(crate) counts: SpanLimits,
    /// The limit of characters of a text. `None` for the default of the recorder.
    pub(crate) text_length: Option<usize>,
}

impl SpanLimitConfig {
    pub(crate) fn resolve(env: &mut Env<'_>) -> Self {
        let default = SpanLimits::default();
        let mut limit = |names: &[&str], default| {
            env.first_valid(names, |text| text.parse().ok(), INVALID_COUNT, default)
        };
        let counts = SpanLimits {
            max_attributes_per_span: limit(
                &[
                    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
                    "OTEL_ATTRIBUTE_COUNT_LIMIT",
                ],
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
        };
        let text_length = [
            "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        ]
        .into_iter()
        .find_map(|name| {
            let parse = |text: &str| text.parse::<u32>().ok();
            env.parse(name, parse, INVALID_COUNT, "the next or the default limit")
        });
        Self {
            counts,
            text_length: text_length.and_then(|characters| usize::try_from(characters).ok()),
        }
    }
}
