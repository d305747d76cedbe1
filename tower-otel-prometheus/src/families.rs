//! What the exporter has rendered, taken apart again: it keeps its summaries to itself and shows them
//! as text alone.

use std::collections::BTreeMap;

pub(crate) type Labels = Vec<(String, String)>;

/// A summary with all its series.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Summary {
    pub(crate) name: String,
    pub(crate) help: Option<String>,
    pub(crate) series: BTreeMap<Labels, Sample>,
}

/// The parts of one series.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Sample {
    pub(crate) count: f64,
    pub(crate) sum: f64,
    pub(crate) quantiles: Vec<(f64, f64)>,
}

/// The summaries of a text that has no others; a line that is none of the format's is passed over.
pub(crate) fn parse(text: &str) -> Vec<Summary> {
    let mut families: Vec<Summary> = Vec::new();
    let mut help: Option<(&str, String)> = None;
    for line in text.lines() {
        if let Some((name, text)) = line
            .strip_prefix("# HELP ")
            .and_then(|rest| rest.split_once(' '))
        {
            help = Some((name, unescape(text)));
        } else if let Some((name, _)) = line
            .strip_prefix("# TYPE ")
            .and_then(|rest| rest.split_once(' '))
        {
            let help = help.take().filter(|(of, _)| *of == name);
            families.push(Summary {
                name: name.to_owned(),
                help: help.map(|(_, text)| text),
                series: BTreeMap::new(),
            });
        } else if let Some(family) = families.last_mut() {
            let _ = sample(line, family);
        }
    }
    families
}

fn sample(line: &str, family: &mut Summary) -> Option<()> {
    let rest = line.strip_prefix(&*family.name)?;
    let (series, value) = rest.rsplit_once(' ')?;
    let value: f64 = value.parse().ok()?;
    let (part, rest) = series.split_once('{').unwrap_or((series, ""));
    let mut labels = labels(rest.strip_suffix('}').unwrap_or(rest));
    let quantile = labels.iter().position(|(name, _)| name == "quantile");
    let quantile = quantile.map(|at| labels.remove(at).1);
    let sample = family.series.entry(labels).or_default();
    match (part, quantile) {
        ("", Some(quantile)) => sample.quantiles.push((quantile.parse().ok()?, value)),
        ("_sum", _) => sample.sum = value,
        ("_count", _) => sample.count = value,
        _ => return None,
    }
    Some(())
}

/// The labels between two braces.
pub(crate) fn labels(mut text: &str) -> Labels {
    let mut labels = Labels::new();
    while let Some((name, rest)) = text.split_once("=\"") {
        let mut escaped = false;
        let end = rest.char_indices().find(|(_, char)| {
            let closes = *char == '"' && !escaped;
            escaped = *char == '\\' && !escaped;
            closes
        });
        let Some((value, after)) =
            end.and_then(|(at, _)| Some((rest.get(..at)?, rest.get(at + 1..)?)))
        else {
            break;
        };
        labels.push((name.to_owned(), unescape(value)));
        text = after.strip_prefix(',').unwrap_or(after);
    }
    labels
}

fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, char == '\\') {
            (_, false) => plain.push(char),
            (_, true) => match chars.next() {
                Some('n') => plain.push('\n'),
                Some(other) => plain.push(other),
                None => plain.push('\\'),
            },
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
    fn what_is_rendered_is_read_again() {
        let families = parse(concat!(
            "# HELP a All \\\\ of\\nthem.\n# TYPE a summary\n",
            "a_sum{b=\"x, \\\"{y}\\\" \\\\\",c=\"z\"} 3\na_sum 4\n\n",
            "# TYPE s summary\ns{q=\"1\",quantile=\"0.5\"} 0.25\ns_sum{q=\"1\"} 7\ns_count{q=\"1\"} 2\n",
        ));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let [odd, summary] = &families[..] else {
            panic!("{families:?}");
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
    fn nothing_makes_it_stumble() {
        for text in [
            "a",
            "# TYPE a\n",
            "# TYPE a counter\na{b=\"",
            "# TYPE a counter\na{=\"\\\"} x\na 1",
        ] {
            let _ = parse(text);
        }
    }
}
