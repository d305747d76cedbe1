//! The unit at the end of a name.

/// The units that Prometheus uses in names.
const UNITS: [&str; 12] = [
    "amperes", "bytes", "celsius", "days", "grams", "hertz", "joules", "meters", "percent",
    "ratio", "seconds", "volts",
];

/// Returns the unit at the end of a name, which must not have a suffix such as `_total`.
pub(crate) fn unit_of(name: &str) -> Option<&str> {
    let (rest, unit) = name.rsplit_once('_')?;
    (!rest.is_empty() && UNITS.contains(&unit)).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_the_last_word_of_a_name() {
        for (name, unit) in [
            ("http_request_duration_seconds", Some("seconds")),
            ("body_bytes", Some("bytes")),
            ("seconds", None),
            ("_seconds", None),
            ("seconds_requests", None),
            ("milliseconds", None),
        ] {
            assert_eq!(unit_of(name), unit, "{name}");
        }
    }
}
