//! Rate, errors and durations, read back from the text a scrape gets.

use std::{collections::BTreeMap, time::Duration};

const SERVER: Side = Side {
    title: "Server",
    place: "path",
    requests: "http_requests_total",
    duration: "http_request_duration_seconds_bucket",
    in_flight: "http_requests_in_flight",
    aborted: Some("http_responses_aborted_total"),
    // A client that left has cost the server an answer.
    failed: |status| status.starts_with('5') || !is_code(status),
};

const CLIENT: Side = Side {
    title: "Client",
    place: "host",
    requests: "http_client_requests_total",
    duration: "http_client_request_duration_seconds_bucket",
    in_flight: "http_client_requests_in_flight",
    aborted: None,
    // A client that left did so by choice.
    failed: |status| status.starts_with(['4', '5']) || !is_code(status) && status != "cancelled",
};

/// The metrics of one side, and what it calls an error.
struct Side {
    title: &'static str,
    place: &'static str,
    requests: &'static str,
    duration: &'static str,
    in_flight: &'static str,
    aborted: Option<&'static str>,
    failed: fn(&str) -> bool,
}

fn is_code(status: &str) -> bool {
    status.starts_with(|first: char| first.is_ascii_digit())
}

/// The least room for a place. Longer ones widen their table.
const PLACE_WIDTH: usize = 22;

/// One table for each side.
pub(crate) fn tables(text: &str) -> String {
    let samples: Vec<Sample<'_>> = text.lines().filter_map(Sample::read).collect();
    [SERVER, CLIENT]
        .map(|side| table(&side, &samples))
        .join("\n")
}

/// How many requests are being served.
pub(crate) fn in_flight(text: &str) -> f64 {
    let samples = text.lines().filter_map(Sample::read);
    samples
        .filter(|sample| sample.name == SERVER.in_flight)
        .map(|sample| sample.value)
        .sum()
}

/// What is told of one method at one place.
#[derive(Debug, Default)]
struct Row {
    statuses: BTreeMap<String, f64>,
    buckets: Vec<(f64, f64)>,
    aborted: f64,
}

fn table(side: &Side, samples: &[Sample<'_>]) -> String {
    let mut rows: BTreeMap<(&str, &str), Row> = BTreeMap::new();
    let mut in_flight = Vec::new();
    for sample in samples {
        let (method, place) = (sample.label("method"), sample.label(side.place));
        if sample.name == side.in_flight {
            let of = if place.is_empty() { method } else { place };
            in_flight.push(format!("{of} {}", sample.value));
            continue;
        }
        let told = [Some(side.requests), Some(side.duration), side.aborted];
        if !told.contains(&Some(sample.name)) {
            continue;
        }
        let row = rows.entry((place, method)).or_default();
        if sample.name == side.requests {
            let status = sample.label("status").to_owned();
            *row.statuses.entry(status).or_default() += sample.value;
        } else if sample.name == side.duration {
            if let Ok(bound) = sample.label("le").parse() {
                row.buckets.push((bound, sample.value));
            }
        } else {
            row.aborted += sample.value;
        }
    }
    in_flight.sort();
    let places = rows.keys().map(|(place, _)| place.chars().count());
    let width = places.fold(PLACE_WIDTH, usize::max);
    let title = format!(
        "{:<7}{:<width$} requests  errors       p50       p99  aborted  by status",
        side.title, side.place
    );
    let mut table = format!("{title}\n");
    for ((place, method), row) in &rows {
        table += &format!("{}\n", line(side, method, place, width, row));
    }
    table + &format!("in flight: {}\n", in_flight.join(", "))
}

fn line(side: &Side, method: &str, place: &str, width: usize, row: &Row) -> String {
    let requests: f64 = row.statuses.values().sum();
    let failed: f64 = row
        .statuses
        .iter()
        .map(|(status, count)| if (side.failed)(status) { *count } else { 0.0 })
        .sum();
    let ratio = failed / requests;
    let statuses: Vec<String> = row
        .statuses
        .iter()
        .map(|(status, count)| format!("{status}×{count}"))
        .collect();
    let aborted = side
        .aborted
        .map_or("-".to_owned(), |_| row.aborted.to_string());
    format!(
        "{method:<6} {place:<width$} {requests:>8} {:>5.1} % {:>9} {:>9} {aborted:>8}  {}",
        ratio * 100.0,
        quantile(0.5, &row.buckets),
        quantile(0.99, &row.buckets),
        statuses.join(" "),
    )
}

/// As `histogram_quantile` has it: along a straight line within the bucket the quantile falls in;
/// but what lies above the last boundary is said to.
fn quantile(q: f64, buckets: &[(f64, f64)]) -> String {
    let total = buckets.last().map_or(0.0, |(_, count)| *count);
    let rank = q * total;
    let (mut low, mut below) = (0.0, 0.0);
    for &(high, count) in buckets {
        if count >= rank && count > below {
            if high.is_infinite() {
                return format!("> {low} s");
            }
            let seconds = low + (high - low) * (rank - below) / (count - below);
            let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            return format!("{duration:.1?}");
        }
        (low, below) = (high, count);
    }
    "-".to_owned()
}

/// One line of the text format.
#[derive(Debug)]
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

impl<'a> Sample<'a> {
    /// `name{key="value",…} 1`, without a timestamp.
    fn read(line: &'a str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
        let mut labels = Vec::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            while !rest.starts_with('}') {
                let (key, quoted) = rest.split_once("=\"")?;
                let (value, after) = unquote(quoted)?;
                labels.push((key, value));
                rest = after.strip_prefix(',').unwrap_or(after);
            }
            rest = rest.strip_prefix('}')?;
        }
        let value = rest.trim().parse().ok()?;
        Some(Self {
            name,
            labels,
            value,
        })
    }

    /// Empty where there is none, as Prometheus has it.
    fn label(&self, key: &str) -> &str {
        let label = self.labels.iter().find(|(own, _)| *own == key);
        label.map_or("", |(_, value)| value)
    }
}

/// The text up to the closing quote, and what follows that.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (end, '"') => return Some((value, text.get(end + 1..)?)),
            (_, '\\') => value.push(match chars.next()?.1 {
                'n' => '\n',
                other => other,
            }),
            (_, other) => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
# HELP http_requests_total HTTP requests served, by how they ended.
# TYPE http_requests_total counter
http_requests_total{method="GET",path="/items/{sku}",status="200"} 28
http_requests_total{method="GET",path="/items/{sku}",status="404"} 1
http_requests_total{method="GET",path="/items/{sku}",status="500"} 2
http_requests_total{method="GET",path="/items/{sku}",status="cancelled"} 1
http_requests_total{method="POST",path="/items/{sku}",status="201"} 8

http_request_duration_seconds_bucket{method="GET",path="/items/{sku}",le="0.005"} 0
http_request_duration_seconds_bucket{method="GET",path="/items/{sku}",le="0.01"} 24
http_request_duration_seconds_bucket{method="GET",path="/items/{sku}",le="0.025"} 31
http_request_duration_seconds_bucket{method="GET",path="/items/{sku}",le="+Inf"} 32
http_request_duration_seconds_sum{method="GET",path="/items/{sku}"} 0.3
http_requests_in_flight{method="POST"} 0
http_requests_in_flight{method="GET"} 2
http_responses_aborted_total{method="GET",path="/items/{sku}"} 3
http_client_requests_total{method="GET",host="127.0.0.1:1",status="200"} 1
http_client_requests_total{method="GET",host="127.0.0.1:1",status="404"} 1
http_client_requests_total{method="GET",host="127.0.0.1:1",status="cancelled"} 1
http_client_requests_total{method="GET",host="127.0.0.1:1",status="error"} 1
http_client_requests_in_flight{host="127.0.0.1:1"} 0
"#;

    #[test]
    fn both_sides_are_told_by_method_and_place() {
        let lines = [
            "Server path                   requests  errors       p50       p99  aborted  by status",
            "GET    /items/{sku}                 32   9.4 %     8.3ms > 0.025 s        3  200×28 404×1 500×2 cancelled×1",
            "POST   /items/{sku}                  8   0.0 %         -         -        0  201×8",
            "in flight: GET 2, POST 0",
            "",
            "Client host                   requests  errors       p50       p99  aborted  by status",
            "GET    127.0.0.1:1                   4  50.0 %         -         -        -  200×1 404×1 cancelled×1 error×1",
            "in flight: 127.0.0.1:1 0",
        ];
        assert_eq!(tables(TEXT), lines.join("\n") + "\n");
        assert_eq!(in_flight(TEXT), 2.0);
    }

    #[test]
    fn a_long_place_widens_its_table() {
        let place = "/properties/{id}/comparables";
        let text = format!(
            "http_requests_total{{method=\"GET\",path=\"/\",status=\"200\"}} 1\n\
             http_requests_total{{method=\"GET\",path=\"{place}\",status=\"200\"}} 1\n"
        );
        let lines = [
            "Server path                         requests  errors       p50       p99  aborted  by status",
            "GET    /                                   1   0.0 %         -         -        0  200×1",
            "GET    /properties/{id}/comparables        1   0.0 %         -         -        0  200×1",
        ];
        let table = tables(&text);
        assert!(table.starts_with(&lines.join("\n")), "{table}");
    }

    #[test]
    fn a_quantile_lies_in_its_bucket() {
        let buckets = [(0.1, 10.0), (0.2, 10.0), (0.4, 20.0), (f64::INFINITY, 20.0)];
        for (q, shown) in [
            (0.25, "50.0ms"),
            (0.5, "100.0ms"),
            (0.75, "300.0ms"),
            (1.0, "400.0ms"),
        ] {
            assert_eq!(quantile(q, &buckets), shown, "{q}");
        }
        assert_eq!(quantile(0.5, &[]), "-");
        assert_eq!(quantile(0.5, &[(0.1, 0.0), (f64::INFINITY, 0.0)]), "-");
    }

    #[test]
    fn a_line_is_read_with_its_escapes() {
        let sample = Sample::read(r#"x_total{a="b\\c\"d\ne}",f=""} 2.5"#);
        let sample = sample.as_ref();
        assert_eq!(sample.map(|x| (x.name, x.value)), Some(("x_total", 2.5)));
        assert_eq!(sample.map(|x| x.label("a")), Some("b\\c\"d\ne}"));
        assert_eq!(sample.map(|x| x.label("f")), Some(""));
        assert_eq!(sample.map(|x| x.label("none")), Some(""));
        assert_eq!(Sample::read("up 1").map(|x| x.value), Some(1.0));
    }

    #[test]
    fn what_is_no_sample_is_passed_over() {
        for line in [
            "",
            "# HELP up 1",
            "up",
            "up{",
            "up{a",
            "up{a=\"b",
            "up{a=\"b\\",
            "up{} one",
        ] {
            assert!(Sample::read(line).is_none(), "{line}");
        }
    }
}
