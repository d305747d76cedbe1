//! Renders rate, errors and durations from the Prometheus text format as tables.

use std::collections::BTreeMap;

const SERVER: Side = Side {
    title: "Server",
    group_label: "path",
    requests: "http_requests_total",
    duration: "http_request_duration_seconds_bucket",
    in_flight: "http_requests_in_flight",
    aborted: Some("http_responses_aborted_total"),
    // A cancelled request counts: the server did not send its response.
    is_error: |status| status.starts_with('5') || !is_code(status),
};

const CLIENT: Side = Side {
    title: "Client",
    group_label: "host",
    requests: "http_client_requests_total",
    duration: "http_client_request_duration_seconds_bucket",
    in_flight: "http_client_requests_in_flight",
    aborted: None,
    // A cancelled request does not count: the client chose to cancel it.
    is_error: |status| status.starts_with(['4', '5']) || !is_code(status) && status != "cancelled",
};

/// The metric names of servers or clients, and which statuses are errors.
struct Side {
    title: &'static str,
    group_label: &'static str,
    requests: &'static str,
    duration: &'static str,
    in_flight: &'static str,
    aborted: Option<&'static str>,
    is_error: fn(&str) -> bool,
}

fn is_code(status: &str) -> bool {
    status.starts_with(|first: char| first.is_ascii_digit())
}

/// The minimum width of the second column.
const MIN_GROUP_WIDTH: usize = 22;

/// Renders a table for servers and one for clients.
pub(crate) fn tables(text: &str) -> String {
    let samples: Vec<Sample<'_>> = text.lines().filter_map(Sample::parse).collect();
    [SERVER, CLIENT]
        .map(|side| table(&side, &samples))
        .join("\n")
}

/// Returns the number of requests that servers have in flight.
pub(crate) fn in_flight(text: &str) -> f64 {
    let samples = text.lines().filter_map(Sample::parse);
    samples
        .filter(|sample| sample.name == SERVER.in_flight)
        .map(|sample| sample.value)
        .sum()
}

/// The values of one method and path or host.
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
        let (method, group) = (sample.label("method"), sample.label(side.group_label));
        if sample.name == side.in_flight {
            let name = if group.is_empty() { method } else { group };
            in_flight.push(format!("{name} {}", sample.value));
            continue;
        }
        let metrics = [Some(side.requests), Some(side.duration), side.aborted];
        if !metrics.contains(&Some(sample.name)) {
            continue;
        }
        let row = rows.entry((group, method)).or_default();
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
    let groups = rows.keys().map(|(group, _)| group.chars().count());
    let width = groups.fold(MIN_GROUP_WIDTH, usize::max);
    let title = format!(
        "{:<7}{:<width$} requests  errors       p50       p99  aborted  by status",
        side.title, side.group_label
    );
    let mut table = format!("{title}\n");
    for ((group, method), row) in &rows {
        table += &format!("{}\n", format_row(side, method, group, width, row));
    }
    table + &format!("in flight: {}\n", in_flight.join(", "))
}

fn format_row(side: &Side, method: &str, group: &str, width: usize, row: &Row) -> String {
    let requests: f64 = row.statuses.values().sum();
    let errors: f64 = row
        .statuses
        .iter()
        .map(|(status, count)| if (side.is_error)(status) { *count } else { 0.0 })
        .sum();
    let ratio = errors / requests;
    let statuses: Vec<String> = row
        .statuses
        .iter()
        .map(|(status, count)| format!("{status}×{count}"))
        .collect();
    let aborted = side
        .aborted
        .map_or("-".to_owned(), |_| row.aborted.to_string());
    format!(
        "{method:<6} {group:<width$} {requests:>8} {:>5.1} % {:>9} {:>9} {aborted:>8}  {}",
        ratio * 100.0,
        quantile(0.5, &row.buckets),
        quantile(0.99, &row.buckets),
        statuses.join(" "),
    )
}

/// Computes a quantile like `histogram_quantile`, by linear interpolation in its bucket. A quantile
/// above the last boundary is shown as `> boundary`, one below the first as `< boundary`. With too few requests there is
/// no quantile: a p99 needs 100 requests.
fn quantile(q: f64, buckets: &[(f64, f64)]) -> String {
    let total = buckets.last().map_or(0.0, |(_, count)| *count);
    if (1.0 - q) * total < 0.999 {
        return "-".to_owned();
    }
    let rank = q * total;
    let (mut low, mut lower_count) = (0.0, 0.0);
    for &(high, count) in buckets {
        if count >= rank && count > lower_count {
            if high.is_infinite() {
                return format!("> {}", boundary(low));
            }
            if lower_count == 0.0 && low == 0.0 {
                return format!("< {}", boundary(high));
            }
            let seconds = low + (high - low) * (rank - lower_count) / (count - lower_count);
            return match seconds < 1.0 {
                true => format!("{:.1} ms", seconds * 1e3),
                false => format!("{seconds:.1} s"),
            };
        }
        (low, lower_count) = (high, count);
    }
    "-".to_owned()
}

/// Returns a boundary of a bucket as text, rounded to microseconds.
fn boundary(seconds: f64) -> String {
    match seconds < 1.0 {
        true => format!("{} ms", (seconds * 1e6).round() / 1e3),
        false => format!("{seconds} s"),
    }
}

/// One line of the text format.
#[derive(Debug)]
struct Sample<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

impl<'a> Sample<'a> {
    /// Parses `name{key="value",…} 1`. Timestamps are not supported.
    fn parse(line: &'a str) -> Option<Self> {
        if line.starts_with('#') {
            return None;
        }
        let (name, mut rest) = line.split_at(line.find(['{', ' '])?);
        let mut labels = Vec::new();
        if let Some(pairs) = rest.strip_prefix('{') {
            rest = pairs;
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

    /// Returns the value of a label. A missing label is empty, as in Prometheus.
    fn label(&self, key: &str) -> &str {
        let label = self.labels.iter().find(|(name, _)| *name == key);
        label.map_or("", |(_, value)| value)
    }
}

/// Splits a text at its closing quote, and resolves the escapes before the quote.
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
    fn requests_are_grouped_by_method_and_path_or_host() {
        let lines = [
            "Server path                   requests  errors       p50       p99  aborted  by status",
            "GET    /items/{sku}                 32   9.4 %    8.3 ms         -        3  200×28 404×1 500×2 cancelled×1",
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
    fn a_long_path_widens_its_table() {
        let group = "/properties/{id}/comparables";
        let text = format!(
            "http_requests_total{{method=\"GET\",path=\"/\",status=\"200\"}} 1\n\
             http_requests_total{{method=\"GET\",path=\"{group}\",status=\"200\"}} 1\n"
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
    fn a_quantile_is_interpolated_in_its_bucket_and_needs_a_request_above_it() {
        let buckets = [(0.1, 10.0), (0.2, 10.0), (0.4, 20.0), (f64::INFINITY, 20.0)];
        for (q, shown) in [
            (0.25, "< 100 ms"),
            (0.5, "< 100 ms"),
            (0.75, "300.0 ms"),
            (0.95, "380.0 ms"),
            (0.99, "-"),
        ] {
            assert_eq!(quantile(q, &buckets), shown, "{q}");
        }
        let slow = [(0.1, 50.0), (f64::INFINITY, 100.0)];
        assert_eq!(quantile(0.99, &slow), "> 100 ms");
        let seconds = [(0.0025, 0.0), (2.5, 60.0), (f64::INFINITY, 100.0)];
        assert_eq!(quantile(0.5, &seconds), "2.1 s");
        assert_eq!(quantile(0.99, &seconds), "> 2.5 s");
        assert_eq!(quantile(0.5, &[]), "-");
        assert_eq!(quantile(0.5, &[(0.1, 0.0), (f64::INFINITY, 0.0)]), "-");
    }

    #[test]
    fn label_escapes_are_resolved() {
        let sample = Sample::parse(r#"x_total{a="b\\c\"d\ne}",f=""} 2.5"#);
        let sample = sample.as_ref();
        assert_eq!(sample.map(|x| (x.name, x.value)), Some(("x_total", 2.5)));
        assert_eq!(sample.map(|x| x.label("a")), Some("b\\c\"d\ne}"));
        assert_eq!(sample.map(|x| x.label("f")), Some(""));
        assert_eq!(sample.map(|x| x.label("none")), Some(""));
        assert_eq!(Sample::parse("up 1").map(|x| x.value), Some(1.0));
    }

    #[test]
    fn malformed_lines_are_ignored() {
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
            assert!(Sample::parse(line).is_none(), "{line}");
        }
    }
}
