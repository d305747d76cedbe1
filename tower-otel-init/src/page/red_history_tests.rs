#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;

fn short(requests: u32, failed: u32) -> String {
    let all = requests + failed;
    format!(
        "# TYPE http_requests_total counter\n\
         http_requests_total{{method=\"GET\",path=\"/a\",status=\"200\"}} {requests}\n\
         http_requests_total{{method=\"GET\",path=\"/a\",status=\"503\"}} {failed}\n\
         http_request_duration_seconds_bucket{{method=\"GET\",path=\"/a\",le=\"0.1\"}} 0\n\
         http_request_duration_seconds_bucket{{method=\"GET\",path=\"/a\",le=\"1\"}} {all}\n\
         http_request_duration_seconds_bucket{{method=\"GET\",path=\"/a\",le=\"+Inf\"}} {all}\n\
         http_request_duration_seconds_count{{method=\"GET\",path=\"/a\"}} {all}\n\
         http_requests_in_flight{{method=\"GET\"}} 3\n\
         other_total{{path=\"/a\"}} 9\n"
    )
}

fn row(history: &RedHistory, now: Instant) -> Value {
    history.json(now)["tables"][0]["rows"][0].clone()
}

#[test]
fn a_row_has_the_requests_of_the_last_five_minutes() {
    let start = Instant::now();
    let mut history = RedHistory::new(start);
    history.read(&short(90, 10), start + Duration::from_secs(10));
    let now = start + Duration::from_secs(10);
    let json = history.json(now);
    assert_eq!(json["tables"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&json["tables"][0]["side"], &json["tables"][0]["in_flight"]),
        (&"server".into(), &3.0.into())
    );
    let first = row(&history, now);
    assert_eq!(
        (&first["method"], &first["group"]),
        (&"GET".into(), &"/a".into())
    );
    assert_eq!(
        (&first["requests"], &first["errors"], &first["rate"]),
        (&100.0.into(), &10.0.into(), &10.0.into())
    );
    assert_eq!(first["p50"], json!({ "bound": "", "seconds": 0.55 }));
    for seconds in (15..=600).step_by(5) {
        history.read(&short(90, 10), start + Duration::from_secs(seconds));
    }
    let idle = row(&history, start + Duration::from_secs(600));
    assert_eq!(
        (&idle["requests"], &idle["p50"]),
        (&0.0.into(), &Value::Null)
    );
    assert_eq!(idle["total"], 100.0);
    assert_eq!(idle["points"].as_array().unwrap().len(), INTERVALS);
}

#[test]
fn a_route_that_appears_later_starts_from_zero() {
    let start = Instant::now();
    let mut history = RedHistory::new(start);
    for seconds in [5, 10, 15] {
        history.read("", start + Duration::from_secs(seconds));
    }
    let now = start + Duration::from_secs(20);
    history.read(&short(4, 0), now);
    let row = row(&history, now);
    assert_eq!(row["requests"], 4.0);
    assert_eq!(row["points"], json!([0.0, 0.0, 0.0, 4.0, 0.0]));
}

#[test]
fn intervals_have_the_same_length_however_late_they_are_read() {
    let start = Instant::now();
    let mut history = RedHistory::new(start);
    for millis in [4990, 10_010, 14_980, 20_020, 24_990, 30_030] {
        history.read(&short(4, 0), start + Duration::from_millis(millis));
    }
    let now = start + Duration::from_millis(30_040);
    let points = row(&history, now)["points"].as_array().unwrap().len();
    assert_eq!(points, 7, "six intervals of five seconds have ended");
    assert!((history.json(now)["seconds"].as_f64().unwrap() - 30.04).abs() < 0.01);
    history.read(&short(4, 0), start + Duration::from_secs(3600));
    let later = start + Duration::from_secs(3600);
    assert_eq!(row(&history, later)["requests"], 0.0);
    assert_eq!(
        history.json(later)["seconds"],
        0.0,
        "the history starts again after a long pause"
    );
}

#[test]
fn the_names_of_the_conventions_are_read_and_nothing_is_counted_twice() {
    let text = "\
        http_server_request_duration_seconds_count{http_request_method=\"GET\",http_route=\"/a\",http_response_status_code=\"200\"} 3\n\
        http_server_request_duration_seconds_count{http_request_method=\"GET\",http_route=\"/a\",http_response_status_code=\"500\",error_type=\"500\"} 2\n\
        http_server_request_duration_seconds_bucket{http_request_method=\"GET\",http_route=\"/a\",le=\"1\"} 2\n\
        http_server_active_requests{http_request_method=\"GET\"} 1\n\
        http_client_requests_total{method=\"GET\",host=\"b:80\",status=\"404\"} 5\n\
        http_client_request_duration_seconds_count{method=\"GET\",host=\"b:80\"} 5\n\
        http_client_request_duration_seconds_count{http_request_method=\"PUT\",server_address=\"c\",server_port=\"81\"} 6\n\
        grpc_requests_total{method=\"a.B/C\",status=\"INTERNAL\"} 7\n\
        rpc_client_call_duration_seconds_count{rpc_method=\"a.B/C\",server_address=\"d\",server_port=\"82\"} 8\n";
    let now = Instant::now();
    let mut history = RedHistory::new(now);
    history.read(text, now);
    let json = history.json(now);
    let mut found = Vec::new();
    for table in json["tables"].as_array().unwrap() {
        for row in table["rows"].as_array().unwrap() {
            found.push(format!(
                "{} {} {} {} {} {}",
                table["side"].as_str().unwrap(),
                table["protocol"].as_str().unwrap(),
                row["method"].as_str().unwrap(),
                row["group"].as_str().unwrap(),
                row["total"],
                row["errors"],
            ));
        }
    }
    assert_eq!(
        found,
        [
            "server HTTP GET /a 5.0 2.0",
            "server gRPC  a.B/C 7.0 7.0",
            "client HTTP GET b:80 5.0 5.0",
            "client HTTP PUT c:81 6.0 0.0",
            "client gRPC  d:82 a.B/C 8.0 0.0",
        ]
    );
}

#[test]
fn a_row_has_its_requests_in_flight_if_the_gauge_has_its_labels() {
    let text = "\
        http_requests_total{method=\"GET\",path=\"/a\",status=\"200\"} 1\n\
        http_requests_total{method=\"GET\",path=\"/b\",status=\"200\"} 1\n\
        http_requests_in_flight{method=\"GET\",path=\"/a\"} 3\n\
        http_requests_in_flight{method=\"GET\"} 4\n\
        http_client_requests_total{method=\"GET\",host=\"b:80\",status=\"200\"} 1\n\
        http_client_requests_total{method=\"GET\",host=\"c:80\",status=\"200\"} 1\n\
        http_client_requests_total{method=\"PUT\",host=\"c:80\",status=\"200\"} 1\n\
        http_client_requests_in_flight{host=\"b:80\"} 5\n\
        http_client_requests_in_flight{host=\"c:80\"} 6\n\
        grpc_requests_total{method=\"a.B/C\",status=\"OK\"} 7\n\
        grpc_requests_in_flight{method=\"a.B/C\"} 8\n";
    let now = Instant::now();
    let mut history = RedHistory::new(now);
    history.read(text, now);
    let json = history.json(now);
    let mut found = Vec::new();
    for table in json["tables"].as_array().unwrap() {
        for row in table["rows"].as_array().unwrap() {
            let name = format!("{} {}", row["method"], row["group"]).replace('"', "");
            found.push(format!(
                "{name}: {} of {}",
                row["in_flight"], table["in_flight"]
            ));
        }
    }
    assert_eq!(
        found,
        [
            "GET /a: 3.0 of 7.0",
            "GET /b: null of 7.0",
            " a.B/C: 8.0 of 8.0",
            "GET b:80: 5.0 of 11.0",
            "GET c:80: null of 11.0",
            "PUT c:80: null of 11.0",
        ]
    );
    history.read("", now);
    assert_eq!(
        history.json(now)["tables"][0]["rows"][0]["in_flight"],
        Value::Null
    );
}

#[test]
fn rows_are_bounded_and_overflow_is_noticed() {
    let now = Instant::now();
    let mut history = RedHistory::new(now);
    let lines = |range: std::ops::Range<u32>| -> String {
        range
            .map(|n| {
                format!("http_requests_total{{method=\"GET\",path=\"/{n}\",status=\"200\"}} 1\n")
            })
            .collect()
    };
    history.read(&lines(0..1000), now);
    history.read(&lines(0..1000), now);
    let json = history.json(now);
    assert_eq!(
        json["tables"][0]["rows"].as_array().unwrap().len(),
        MAX_ROWS
    );
    assert_eq!(
        (&json["hidden_rows"], &json["overflowed"]),
        (&800.into(), &false.into())
    );
    history.read(
        "http_requests_total{method=\"overflow\",path=\"overflow\",status=\"overflow\"} 1\n",
        now,
    );
    assert_eq!(history.json(now)["overflowed"], true);
}
