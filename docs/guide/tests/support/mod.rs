//! Runs the programs of the guide and reads what they print, serve and export.

#![allow(dead_code, reason = "each test file uses a part")]

use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};

use collector::Collector;
use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    trace::v1::{Span, status::StatusCode},
};
use reqwest::{Client, Response};

/// A running program. It is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// The text that was read so far.
    text: String,
    /// Receives the spans that the program exports.
    pub(crate) collector: Collector,
    /// Where it serves, such as `http://127.0.0.1:4711`. Empty for a program that serves nothing.
    pub(crate) url: String,
    client: Client,
}

/// The variables for a collector.
fn to_collector(collector: &Collector) -> [(String, String); 3] {
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
        ("OTEL_TRACES_SAMPLER", "always_on".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

impl Program {
    /// Starts a program that exports all spans to a collector.
    pub(crate) fn start(path: &str, arguments: &[&str]) -> Self {
        Self::with_variables(path, arguments, &[])
    }

    pub(crate) fn with_variables(
        path: &str,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let collector = Collector::http();
        let mut child = Command::new(path)
            // Variables of the machine would change what the program does.
            .env_clear()
            .args(arguments)
            .envs(to_collector(&collector))
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            lines,
            text: String::new(),
            collector,
            url: String::new(),
            client: Client::new(),
        }
    }

    /// Starts a program that serves on a free port.
    pub(crate) fn serve(path: &str) -> Self {
        Self::serve_with(path, &[], &[])
    }

    pub(crate) fn serve_with(path: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let arguments = [&["127.0.0.1:0"], arguments].concat();
        let mut program = Self::with_variables(path, &arguments, variables);
        program.url = program.line_after("listening on ");
        program
    }

    /// Reads the output up to a line that starts with `prefix`, and returns its rest.
    pub(crate) fn line_after(&mut self, prefix: &str) -> String {
        loop {
            let line = self.lines.next();
            let line = line.unwrap_or_else(|| panic!("no line {prefix:?} in\n{}", self.text));
            let line = line.unwrap();
            self.text += &format!("{line}\n");
            if let Some(rest) = line.strip_prefix(prefix) {
                return rest.to_owned();
            }
        }
    }

    /// Writes a line to the standard input.
    pub(crate) fn write_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let mut request = self.client.get(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    /// Requests a path, and returns the body.
    pub(crate) async fn text(&self, path: &str) -> String {
        self.get(path).await.text().await.unwrap()
    }

    /// Waits until `/metrics` has a line.
    pub(crate) async fn until_metric(&self, line: &str) {
        let waiting = async {
            loop {
                let metrics = self.text("/metrics").await;
                if metrics.lines().any(|other| other == line) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(collector::TIMEOUT, waiting).await;
        if waited.is_err() {
            panic!("no line {line} in\n{}", self.text("/metrics").await);
        }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(status.unwrap().success());
    }

    /// Stops the program as Kubernetes does. Returns all that it has printed.
    pub(crate) fn stop(mut self) -> Ended {
        self.signal("TERM");
        self.ended()
    }

    /// Waits for the end of a program that ends by itself.
    pub(crate) fn ended(&mut self) -> Ended {
        self.ended_with(true)
    }

    /// Waits for the end of a program that returns an error.
    pub(crate) fn failed(&mut self) -> Ended {
        self.ended_with(false)
    }

    fn ended_with(&mut self, succeeds: bool) -> Ended {
        drop(self.child.stdin.take());
        for line in self.lines.by_ref() {
            self.text += &format!("{}\n", line.unwrap());
        }
        let status = self.child.wait().unwrap();
        assert_eq!(status.success(), succeeds, "{status}\n{}", self.text);
        let mut spans = self.collector.received.lock().unwrap().spans.clone();
        spans.sort_by_key(|span| span.start_time_unix_nano);
        Ended {
            text: std::mem::take(&mut self.text),
            spans,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program left.
pub(crate) struct Ended {
    pub(crate) text: String,
    /// In the order of their start.
    pub(crate) spans: Vec<Span>,
}

impl Ended {
    /// The only span of this name.
    pub(crate) fn span(&self, name: &str) -> &Span {
        let named = self.named(name);
        assert_eq!(named.len(), 1, "{name} in {:?}", self.names());
        named[0]
    }

    pub(crate) fn named(&self, name: &str) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.name == name).collect()
    }

    /// The names of all spans, sorted.
    pub(crate) fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.spans.iter().map(|span| span.name.as_str()).collect();
        names.sort();
        names
    }

    /// The text of an attribute of each span.
    pub(crate) fn attributes(&self, key: &str) -> Vec<Option<String>> {
        self.spans.iter().map(|span| attribute(span, key)).collect()
    }

    /// Asserts that a span is a child of another one.
    pub(crate) fn assert_child(&self, child: &str, parent: &str) {
        let (child, parent) = (self.span(child), self.span(parent));
        assert_eq!(child.trace_id, parent.trace_id, "{}", child.name);
        assert_eq!(child.parent_span_id, parent.span_id, "{}", child.name);
    }

    /// Asserts that the output has a line.
    pub(crate) fn assert_line(&self, line: &str) {
        assert_lines(&self.text, &[line]);
    }
}

/// The text of an attribute.
pub(crate) fn attribute(span: &Span, key: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|other| other.key == key)?;
    Some(match attribute.value.clone()?.value? {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(value) => value.to_string(),
        Value::ArrayValue(values) => {
            let text = |value| match value {
                Some(Value::StringValue(text)) => text,
                other => panic!("unexpected {other:?}"),
            };
            let texts = values.values.into_iter().map(|value| text(value.value));
            texts.collect::<Vec<_>>().join(",")
        }
        other => panic!("unexpected {other:?}"),
    })
}

pub(crate) fn is_failed(span: &Span) -> bool {
    let status = span.status.as_ref();
    status.is_some_and(|status| status.code() == StatusCode::Error)
}

/// Asserts that a text has these lines.
pub(crate) fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            text.lines().any(|other| other == *line),
            "no line {line} in\n{text}"
        );
    }
}

/// Asserts that a text has the samples of metrics that a page shows. Values of buckets depend on the machine.
pub(crate) fn assert_samples_of_page(page: &str, text: &str) {
    let blocks = page.split("\n```text\n").skip(1);
    let lines = blocks.flat_map(|block| block.split("\n```").next().unwrap().lines());
    let samples = lines.filter(|line| line.starts_with("http_") || line.starts_with("grpc_"));
    let mut count = 0;
    for sample in samples {
        let series = sample.rsplit_once(' ').unwrap().0;
        let is_there = |line: &str| match series.contains("_bucket{") {
            true => line.starts_with(&format!("{series} ")),
            false => line == sample,
        };
        assert!(text.lines().any(is_there), "no line {sample} in\n{text}");
        count += 1;
    }
    assert!(count > 0, "the page shows no samples");
}
