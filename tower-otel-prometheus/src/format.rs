//! The formats of a scrape, and their selection by `Accept`.

use http::{HeaderMap, HeaderValue, header::ACCEPT};

/// A format that metrics are rendered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The text format, version 0.0.4.
    Text,
    /// OpenMetrics 1.0 text.
    OpenMetrics,
    /// `MetricFamily` messages, each after its length.
    Protobuf,
}

impl Format {
    pub(crate) const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        })
    }

    /// Returns the format with the highest weight in `Accept`. If weights are equal, the first format applies. Wildcards
    /// and headers without a known format select the text format. Protobuf is selected only if it is offered.
    pub(crate) fn negotiate(headers: &HeaderMap, offers_protobuf: bool) -> Self {
        let values = headers.get_all(ACCEPT).into_iter();
        let ranges = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let mut best = (Self::Text, 0.0);
        for range in ranges {
            let Some((format, weight)) = accepted(range) else {
                continue;
            };
            if weight > best.1 && (offers_protobuf || format != Self::Protobuf) {
                best = (format, weight);
            }
        }
        best.0
    }
}

/// Returns the format and the weight of a media range such as `text/plain;version=0.0.4;q=0.5`.
fn accepted(range: &[u8]) -> Option<(Format, f32)> {
    let range = std::str::from_utf8(range).ok()?;
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let format = match &*media_type {
        "application/openmetrics-text" => Format::OpenMetrics,
        "application/vnd.google.protobuf" => Format::Protobuf,
        "text/plain" | "text/*" | "*/*" => Format::Text,
        _ => return None,
    };
    let mut weight = 1.0;
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match (&*name.trim().to_ascii_lowercase(), value.trim()) {
            ("q", value) => weight = parse_weight(value)?,
            ("version", "0.0.1" | "1.0.0") if format == Format::OpenMetrics => {}
            ("version", _) if format == Format::OpenMetrics => return None,
            _ => {}
        }
    }
    Some((format, weight))
}

/// Parses a weight from 0 to 1.
fn parse_weight(text: &str) -> Option<f32> {
    let weight: f32 = text.parse().ok()?;
    (0.0..=1.0).contains(&weight).then_some(weight)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn negotiate(accept: &[&str], offers_protobuf: bool) -> Format {
        let mut headers = HeaderMap::new();
        for value in accept {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(ACCEPT, value);
        }
        Format::negotiate(&headers, offers_protobuf)
    }

    const PROMETHEUS_2: &str = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const PROMETHEUS_3: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    const PROMETHEUS_3_PROTOBUF: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";

    #[test]
    fn prometheus_gets_the_format_that_it_prefers() {
        assert_eq!(negotiate(&[PROMETHEUS_2], true), Format::OpenMetrics);
        assert_eq!(negotiate(&[PROMETHEUS_3], true), Format::OpenMetrics);
        assert_eq!(negotiate(&[PROMETHEUS_3_PROTOBUF], true), Format::Protobuf);
        assert_eq!(
            negotiate(&[PROMETHEUS_3_PROTOBUF], false),
            Format::OpenMetrics
        );
    }

    #[test]
    fn weights_decide_and_then_the_order() {
        let open_metrics = "application/openmetrics-text";
        for (accept, format) in [
            ("text/plain, application/openmetrics-text", Format::Text),
            (
                "text/plain;q=0.5, application/openmetrics-text",
                Format::OpenMetrics,
            ),
            (
                "Application/OpenMetrics-Text ; Version = 1.0.0 ; Q = 0.1",
                Format::OpenMetrics,
            ),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;version=2.0.0", Format::Text),
            (
                "*/*;q=0.1, application/openmetrics-text",
                Format::OpenMetrics,
            ),
            (open_metrics, Format::OpenMetrics),
        ] {
            assert_eq!(negotiate(&[accept], false), format, "{accept}");
        }
        let two_lines = ["text/plain;q=0.5", "application/openmetrics-text"];
        assert_eq!(negotiate(&two_lines, false), Format::OpenMetrics);
    }

    #[test]
    fn nonsense_gets_the_text_format() {
        let long = "application/openmetrics-text;q=".repeat(1000);
        for accept in [
            "",
            ",",
            ";;;",
            "openmetrics",
            "application/*",
            "image/png",
            "application/openmetrics-text;q=NaN",
            "application/openmetrics-text;q=2",
            "application/openmetrics-text;q=-1",
            "application/openmetrics-text;q",
            "größe",
            &long,
        ] {
            assert_eq!(negotiate(&[accept], true), Format::Text, "{accept}");
        }
        assert_eq!(negotiate(&[], true), Format::Text);
    }
}
