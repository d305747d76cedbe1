//! The report of `quickstart --once`, and its errors.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::process::{Command, Output};

fn quickstart(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .args(args)
        .output()
        .unwrap()
}

/// Returns the output of a run that succeeded without errors.
fn stdout(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert_eq!(errors, "");
    text
}

/// Returns the words of the first line that begins with `words`.
fn line<'a>(text: &'a str, words: &[&str]) -> Vec<&'a str> {
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|line| line.starts_with(words))
        .unwrap_or_else(|| panic!("no line {words:?} in\n{text}"))
}

/// Returns the depth and the name of each span in the last tree, which is the sampled trace. The other trees are the traces
/// of failing requests.
fn tree(text: &str) -> Vec<(usize, String)> {
    let (_, last) = text.rsplit_once("\nTrace ").unwrap();
    last.lines()
        .skip_while(|line| !line.contains('█'))
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let name = line.trim_start_matches(['│', '├', '└', '─', ' ']);
            let depth = (line.chars().count() - name.chars().count()) / 3;
            let name = name.split('█').next().unwrap_or_default().trim_end();
            (depth, name.to_owned())
        })
        .collect()
}

#[test]
fn one_trace_has_the_spans_of_both_services() {
    let text = stdout(&quickstart(&["--once"]));
    let span = |depth: usize, name: &str| (depth, name.to_owned());
    let tree = tree(&text);
    for path in [
        [
            span(0, "POST /orders/{sku}"),
            span(1, "POST"),
            span(2, "POST /items/{sku}"),
            span(3, "read shelf"),
        ],
        [
            span(1, "offer"),
            span(2, "GET"),
            span(3, "GET /items/{sku}"),
            span(4, "read shelf"),
        ],
    ] {
        let mut lines = tree.iter();
        let found = path.iter().all(|span| lines.any(|line| line == span));
        assert!(found, "no {path:?} in\n{text}");
    }
    for (depth, name) in [(2, "price lookup"), (1, "charge card")] {
        assert!(tree.contains(&span(depth, name)), "no {name} in\n{text}");
    }
    assert_eq!(tree.len(), 10, "{text}");
    for status in [" 201 /orders/chair", " 201 /items/chair", " 200 to stock:"] {
        assert!(text.contains(status), "no {status} in\n{text}");
    }
    let last = text.rsplit("\nTrace ").next().unwrap_or_default();
    let (trace, _) = last.split_once("\n\n").unwrap();
    assert!(!trace.contains("error.type"), "{trace}");
}

#[test]
fn each_trace_is_printed_once_with_the_name_of_its_root() {
    let text = stdout(&quickstart(&["--once"]));
    let (report, _) = text.split_once("requests sent").unwrap();
    let mut titles: Vec<_> = report
        .lines()
        .filter(|line| line.starts_with("Trace"))
        .map(|line| line.split("  ").next().unwrap_or_default())
        .collect();
    titles.sort_unstable();
    // That of the product has an error of both services.
    let roots = [
        "GET /exports/{lines}",
        "GET /products/{sku}",
        "GET /reports/{year}",
        "POST /orders/{sku}",
    ];
    assert_eq!(
        titles,
        roots.map(|root| format!("Trace of {root}")),
        "{text}"
    );
    assert!(!text.contains("Part of"), "{text}");
}

#[test]
fn the_tables_count_every_sent_request() {
    let text = stdout(&quickstart(&["--once"]));
    assert!(text.contains("34 requests sent"), "{text}");

    let stock = line(&text, &["stock"]);
    let (_, port) = stock[1].rsplit_once(':').unwrap();
    let stock = format!("stock:{port}");
    let (_, tables) = text.split_once("\nServer path ").unwrap();
    let (server, client) = tables.split_once("\nClient host ").unwrap();
    let items = &["200×28", "404×1", "500×1"][..];
    for (table, method, group, requests, errors, aborted, statuses) in [
        (
            server,
            "GET",
            "/exports/{lines}",
            "2",
            "0.0",
            "1",
            &["200×2"][..],
        ),
        (server, "GET", "/items/{sku}", "30", "3.3", "0", items),
        (server, "POST", "/items/{sku}", "8", "0.0", "0", &["201×8"]),
        (server, "POST", "/orders/{sku}", "8", "0.0", "0", &["201×8"]),
        (
            server,
            "GET",
            "/products/{sku}",
            "22",
            "4.5",
            "0",
            &["200×20", "404×1", "502×1"],
        ),
        (
            server,
            "GET",
            "/reports/{year}",
            "1",
            "100.0",
            "0",
            &["cancelled×1"],
        ),
        (server, "GET", "unmatched", "1", "0.0", "0", &["404×1"]),
        (client, "GET", &stock, "30", "6.7", "-", items),
        (client, "POST", &stock, "8", "0.0", "-", &["201×8"]),
    ] {
        let row = line(table, &[method, group]);
        assert_eq!(row.get(2..5), Some(&[requests, errors, "%"][..]), "{row:?}");
        // The quantiles are between, as `12.1 ms` or `-`.
        let end = row.len() - statuses.len();
        assert_eq!(row.get(end - 1), Some(&aborted), "{row:?}");
        assert_eq!(row.get(end..), Some(statuses), "{row:?}");
    }
    assert_eq!(
        line(server, &["in", "flight:"]).join(" "),
        "in flight: GET 0, POST 0"
    );
    assert_eq!(
        line(client, &["in", "flight:"]).get(2..),
        Some(&[&*stock, "0"][..])
    );
    let rows = text.lines().filter(|line| line.contains(" % "));
    assert_eq!(rows.count(), 9, "{text}");
}

#[test]
fn output_to_a_pipe_has_no_colors() {
    assert!(!stdout(&quickstart(&["--once"])).contains('\x1b'));
}

#[test]
fn an_unknown_option_is_an_error_that_names_it() {
    let output = quickstart(&["--twice"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors.contains("unknown option `--twice`"), "{errors}");
    assert!(errors.contains("Usage: quickstart [--once]"), "{errors}");
    assert_eq!(output.stdout, b"");
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let output = quickstart(&["--once", "--port", &port]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        errors.contains(&format!("cannot listen on 127.0.0.1:{port}")),
        "{errors}"
    );
}
