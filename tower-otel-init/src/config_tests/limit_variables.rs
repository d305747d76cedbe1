//! The variables of span limits.

use super::*;

/// Returns the limits of attributes, events and links of a span, of attributes of an event and of a link, and of characters.
fn limits(variables: Variables<'_>) -> ([u32; 5], Option<usize>) {
    let limits = without_warnings(variables).span_limits;
    let counts = limits.counts;
    let counts = [
        counts.max_attributes_per_span,
        counts.max_events_per_span,
        counts.max_links_per_span,
        counts.max_attributes_per_event,
        counts.max_attributes_per_link,
    ];
    (counts, limits.text_length)
}

#[test]
fn otel_span_limits() {
    assert_eq!(limits(&[]), ([128; 5], None));
    for (at, name) in [
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_SPAN_EVENT_COUNT_LIMIT",
        "OTEL_SPAN_LINK_COUNT_LIMIT",
        "OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT",
        "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT",
    ]
    .into_iter()
    .enumerate()
    {
        for (value, expected) in [("0", 0), ("7", 7), ("4294967295", u32::MAX)] {
            let mut all = [128; 5];
            all[at] = expected;
            assert_eq!(limits(&[(name, value)]), (all, None), "{name}");
        }
        for invalid in ["-1", "many", "4294967296"] {
            assert_eq!(with_warning(&[(name, invalid)]).1.fallback, "128", "{name}");
        }
    }
    let both = [
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "9"),
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "7"),
    ];
    assert_eq!(limits(&both[..1]).0[0], 9);
    assert_eq!(limits(&both).0[0], 7);
}

#[test]
fn otel_attribute_value_length_limit() {
    let both = [
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "100"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "10"),
    ];
    assert_eq!(limits(&both[..1]).1, Some(100));
    assert_eq!(limits(&both).1, Some(10));
    let common = ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "long");
    assert_eq!(with_warning(&[common]).0.span_limits.text_length, None);
    let own = ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "long");
    let (config, _) = with_warning(&[both[0], own]);
    assert_eq!(config.span_limits.text_length, Some(100));
}
