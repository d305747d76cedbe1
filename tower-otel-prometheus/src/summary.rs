//! Parses the summaries that metrics-exporter-prometheus renders, because it offers them as text only.

use std::collections::BTreeMap;

pub(crate) type Labels = Vec<(String, String)>;

/// A summary with all its series.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) name: String,
    pub(crate) help: Option<String>,
    pub(crate) series: BTreeMap<Labels, SummarySeries>,
}

/// The values of one series.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct SummarySeries {
    pub(crate) count: f64,
    pub(crate) sum: f64,
    /// Pairs of a quantile and its value.
    pub(crate) quantiles: Vec<(f64, f64)>,
}

/// Parses a text that contains summaries only. Lines that are not in the format are skipped.
pub(crate) fn parse_summaries(text: &str) -> Vec<Summary> {
    let mut summaries: Vec<Summary> = Vec::new();
    let mut help: Option<(&str, String)> = None;
    for line in text.lines() {
        if let Some((name, text)) = directive(line, "# HELP ") {
            help = Some((name, unescape(text)));
        } else if let Some((name, _)) = directive(line, "# TYPE ") {
            let help = help.take().filter(|(described, _)| *described == name);
            summaries.push(Summary {
                name: name.to_owned(),
                help: help.map(|(_, text)| text),
                series: BTreeMap::new(),
            });
        } else if let Some(summary) = summaries.last_mut() {
            let _ = parse_sample(line, summary);
        }
    }
    summaries
}

/// Returns the name and the text after `prefix`.
fn directive<'a>(line: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    line.strip_prefix(prefix)?.split_once(' ')
}

fn parse_sample(line: &str, summary: &mut Summary) -> Option<()> {
    let after_name = line.strip_prefix(&*summary.name)?;
    let (series, value) = after_name.rsplit_once(' ')?;
    let value: f64 = value.parse().ok()?;
    let (suffix, labels) = series.split_once('{').unwrap_or((series, ""));
    let mut labels = parse_labels(labels.strip_suffix('}').unwrap_or(labels));
    let quantile = labels.iter().position(|(name, _)| name == "quantile");
    let quantile = quantile.map(|index| labels.remove(index).1);
    let series = summary.series.entry(labels).or_default();
    match (suffix, quantile) {
        ("", Some(quantile)) => series.quantiles.push((quantile.parse().ok()?, value)),
        ("_sum", _) => series.sum = value,
        ("_count", _) => series.count = value,
        _ => return None,
    }
    Some(())
}

/// Parses the labels between two braces. Stops at the first label that is not in the format.
pub(crate) fn parse_labels(mut text: &str) -> Labels {
    let mut labels = Labels::new();
    while let Some((name, after)) = text.split_once("=\"") {
        let mut escaped = false;
        let end = after.char_indices().find(|(_, char)| {
            let closes = *char == '"' && !escaped;
            escaped = *char == '\\' && !escaped;
            closes
        });
        let Some((value, next)) =
            end.and_then(|(end, _)| Some((after.get(..end)?, after.get(end + 1..)?)))
        else {
            break;
        };
        labels.push((name.to_owned(), unescape(value)));
        text = next.strip_prefix(',').unwrap_or(next);
    }
    labels
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            plain.push(char);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some(other) => plain.push(other),
            None => plain.push('\\'),
        }
    }
    plain
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use super::*;

    #[test]
    fn rendered_summaries_are_parsed() {
        let summaries = parse_summaries(concat!(
            "# HELP a All \\\\ of\\nthem.\n# TYPE a summary\n",
            "a_sum{b=\"x, \\\"{y}\\\" \\\\\",c=\"z\"} 3\na_sum 4\n\n",
            "# TYPE s summary\ns{q=\"1\",quantile=\"0.5\"} 0.25\ns_sum{q=\"1\"} 7\ns_count{q=\"1\"} 2\n",
        ));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let [odd, summary] = &summaries[..] else {
            panic!("{summaries:?}");
        };
        assert_eq!(odd.name, "a");
        assert_eq!(odd.help.as_deref(), Some("All \\ of\nthem."));
        let labels = vec![pair("b", "x, \"{y}\" \\"), pair("c", "z")];
        assert_eq!(odd.series[&labels].sum, 3.0);
        assert_eq!(odd.series[&Labels::new()].sum, 4.0);
        let sample = &summary.series[&vec![pair("q", "1")]];
        assert_eq!((sample.sum, sample.count), (7.0, 2.0));
        assert_eq!(sample.quantiles, [(0.5, 0.25)]);
    }

    #[test]
    fn malformed_text_is_skipped() {
        for text in [
            "a",
            "# TYPE a\n",
            "# TYPE a counter\na{b=\"",
            "# TYPE a counter\na{=\"\\\"} x\na 1",
        ] {
            let _ = parse_summaries(text);
        }
    }
}
