//! Changes settings over HTTP while a service in a separate process is under load.
#![cfg(all(unix, feature = "control", feature = "grpc"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::get;
use collector::Collector;
use tower_otel_init::{Telemetry, TraceLayer, shutdown_signal};

/// The maximum time until a change takes effect.
const LIMIT: Duration = Duration::from_millis(100);

/// The service. The tests below run it in a separate process.
#[test]
#[ignore = "runs in a process started by the other tests"]
fn service() {
    if std::env::var("SERVICE").is_err() {
        return;
    }
    let telemetry = Telemetry::from_env("shop").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let app = Router::new()
            .route("/good/{id}", get(good))
            .route("/bad/{id}", get(bad))
            .layer(TraceLayer::server())
            .nest_service("/control", telemetry.control_service());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        eprintln!("port {}", listener.local_addr().unwrap().port());
        let server = axum::serve(listener, app).with_graceful_shutdown(shutdown_signal());
        server.await.unwrap();
    });
    telemetry.shutdown(Duration::from_secs(20)).unwrap();
}

#[tracing::instrument]
async fn step(id: String) {
    tracing::debug!("debug of {id}");
    tracing::warn!("warning of {id}");
}

async fn good(Path(id): Path<String>) -> &'static str {
    step(id).await;
    "good"
}

async fn bad(Path(id): Path<String>) -> StatusCode {
    step(id).await;
    StatusCode::INTERNAL_SERVER_ERROR
}

struct Service {
    child: Child,
    port: u16,
    /// The thread that reads the standard output, so that the service does not block when it writes.
    output: thread::JoinHandle<String>,
}

/// A connection to the service.
struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Sends a request. Returns the status and the body.
    fn send(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        self.send_with(method, path, "", body)
    }

    /// Sends a request with additional headers.
    fn send_with(&mut self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: a\r\n{headers}content-length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes()).unwrap();
        let mut lines = self.0.by_ref().lines().map(Result::unwrap);
        let status = lines.next().unwrap();
        let status = status.split(' ').nth(1).unwrap().parse().unwrap();
        let head = lines.take_while(|line| !line.is_empty());
        let length = head.filter_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.last().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }
}

impl Service {
    fn start(collector: &Collector, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["service", "--exact", "--ignored", "--nocapture", "-q"])
            .env("SERVICE", "1")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
            .env("OTEL_TRACES_SAMPLER_ARG", "0")
            .env("OTEL_BSP_MAX_QUEUE_SIZE", "1000000")
            .env("OTEL_BSP_SCHEDULE_DELAY", "50")
            .env("TRACES_KEEP", "none")
            .env("RUST_LOG", "error")
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let output = thread::spawn(move || {
            let mut output = String::new();
            stdout.read_to_string(&mut output).unwrap();
            output
        });
        let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
        let port = lines.find_map(|line| line.unwrap().strip_prefix("port ")?.parse().ok());
        drop(lines);
        Self {
            child,
            port: port.expect("the service did not start"),
            output,
        }
    }

    fn connect(&self) -> Connection {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        Connection(BufReader::new(stream))
    }

    /// Stops the service with `SIGTERM` and returns its standard output.
    fn stop(mut self) -> String {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(killed.success());
        assert!(self.child.wait().unwrap().success());
        self.output.join().unwrap()
    }
}

/// Sends requests from two threads while `run` runs.
fn under_load(service: &Service, run: impl FnOnce()) {
    let is_done = AtomicBool::new(false);
    thread::scope(|scope| {
        for path in ["/good/load", "/bad/load"] {
            let is_done = &is_done;
            scope.spawn(move || {
                let mut connection = service.connect();
                while !is_done.load(SeqCst) {
                    connection.send("GET", path, "");
                }
            });
        }
        run();
        is_done.store(true, SeqCst);
    });
}

/// Changes a setting, and sends a request after the change. Returns the duration of both together.
fn turn(connection: &mut Connection, setting: &str, text: &str, probe: &str) -> Duration {
    let started = Instant::now();
    let (status, body) = connection.send("PUT", &format!("/control/{setting}"), text);
    assert_eq!(status, 200, "{body}");
    connection.send("GET", probe, "");
    started.elapsed()
}

#[test]
fn each_setting_takes_effect_for_the_next_request_under_load_and_nothing_is_lost() {
    const ROUNDS: usize = 20;
    let collector = Collector::grpc();
    let service = Service::start(&collector, &[]);
    let mut times = Vec::new();
    let mut state = String::new();
    under_load(&service, || {
        let mut control = service.connect();
        let mut turn = |setting: &str, text: &str, probe: String| {
            times.push(turn(&mut control, setting, text, &probe));
        };
        for n in 0..ROUNDS {
            turn("sampling", "parentbased_always_on", format!("/good/on-{n}"));
            turn("sampling", "0", format!("/good/off-{n}"));
            turn("sampling", "1,GET /good/{id}=0", format!("/good/rule-{n}"));
            turn("sampling", "0,/good/{id}=1", format!("/good/route-{n}"));
            turn(
                "sampling",
                "rate_limited=4000000000",
                format!("/good/rate-{n}"),
            );
            turn("sampling", "always_off", format!("/bad/dropped-{n}"));
            turn(
                "keep",
                "errors,per_second=1000000",
                format!("/bad/kept-{n}"),
            );
            turn("keep", "none", format!("/bad/none-{n}"));
            turn("log_filter", "debug", format!("/good/debug-{n}"));
            turn("log_filter", "warn", format!("/good/warn-{n}"));
            turn("log_filter", "error", format!("/good/error-{n}"));
        }
        turn("keep", "errors", "/bad/last".to_owned());
        state = control.send("GET", "/control/", "").1;
    });
    let output = service.stop();
    times.sort();
    let median = times[times.len() / 2];
    eprintln!(
        "change and next request: median {median:?}, longest {:?}",
        times.last().unwrap()
    );
    assert!(median < LIMIT, "{median:?}");

    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["settings"]["keep"], "errors,per_second=100");
    assert!(
        !state["kept_traces"].as_array().unwrap().is_empty(),
        "{state}"
    );
    let dropped = state["exporters"][0]["dropped"].as_object().unwrap();
    let limited = ["keep_limited"];
    let lost = |(reason, count): (&String, &serde_json::Value)| {
        !limited.contains(&&**reason) && *count != 0
    };
    assert!(!dropped.iter().any(lost), "{state}");

    // The spans of each trace, and its probe.
    let received = collector.received.lock().unwrap();
    let mut traces: HashMap<&[u8], (usize, Option<String>)> = HashMap::new();
    for span in &received.spans {
        let trace = traces.entry(&span.trace_id).or_default();
        trace.0 += 1;
        let path = span
            .attributes
            .iter()
            .find(|attribute| attribute.key == "url.path");
        trace.1 = trace
            .1
            .take()
            .or_else(|| path.map(|path| format!("{:?}", path.value)));
    }
    let parts: Vec<_> = traces.values().filter(|(spans, _)| *spans != 2).collect();
    assert!(parts.is_empty(), "{parts:?}");
    let has = |probe: &str| {
        let is = |path: &Option<String>| path.as_ref().is_some_and(|path| path.contains(probe));
        traces.values().any(|(_, path)| is(path))
    };
    for n in 0..ROUNDS {
        for (probe, expected) in [
            ("on", true),
            ("off", false),
            ("rule", false),
            ("route", true),
            ("rate", true),
            ("dropped", false),
            ("kept", true),
            ("none", false),
        ] {
            assert_eq!(has(&format!("/{probe}-{n}\"")), expected, "{probe} {n}");
        }
        for (probe, debug, warning) in [
            ("debug", true, true),
            ("warn", false, true),
            ("error", false, false),
        ] {
            let has = |kind: &str| output.contains(&format!("{kind} of {probe}-{n}\""));
            assert_eq!(
                (has("debug"), has("warning")),
                (debug, warning),
                "{probe} {n}"
            );
        }
    }
}

#[test]
fn lines_below_warn_are_those_of_sampled_traces_if_logs_follow_traces() {
    let collector = Collector::grpc();
    for (traces, of_unsampled) in [("sampled", false), ("all", true)] {
        let variables = [("LOG_TRACES", traces), ("RUST_LOG", "debug")];
        let service = Service::start(&collector, &variables);
        let mut connection = service.connect();
        connection.send("GET", "/good/before", "");
        turn(&mut connection, "sampling", "1", "/good/sampled");
        turn(&mut connection, "sampling", "0", "/bad/after");
        let output = service.stop();
        for (probe, has_debug) in [
            ("before", of_unsampled),
            ("sampled", true),
            ("after", of_unsampled),
        ] {
            let has = |kind: &str| output.contains(&format!("{kind} of {probe}\""));
            assert_eq!(
                (has("debug"), has("warning")),
                (has_debug, true),
                "{traces} {probe}"
            );
        }
        // A log line outside of a trace.
        assert!(output.contains("telemetry of shop"), "{output}");
    }
}

#[test]
fn a_rate_limit_bounds_the_traces_of_a_flood_and_follows_a_sampled_caller() {
    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (sampling, of_caller) in [
        ("parentbased_rate_limited=10", true),
        ("rate_limited=10", false),
    ] {
        let collector = Collector::grpc();
        let service = Service::start(&collector, &[]);
        let mut connection = service.connect();
        let started = Instant::now();
        turn(&mut connection, "sampling", sampling, "/good/first");
        for n in 0..300 {
            connection.send("GET", &format!("/good/flood-{n}"), "");
        }
        let header = format!("traceparent: {CALLER}\r\n");
        connection.send_with("GET", "/good/called", &header, "");
        let seconds = started.elapsed().as_secs() + 1;
        service.stop();
        let received = collector.received.lock().unwrap();
        let roots = received
            .spans
            .iter()
            .filter(|span| span.name == "GET /good/{id}");
        let is_called = |span: &&_| -> bool { format!("{span:?}").contains("/good/called") };
        let (called, own): (Vec<_>, Vec<_>) = roots.partition(is_called);
        let most = 10 * (usize::try_from(seconds).unwrap() + 1);
        assert!(
            (10..=most).contains(&own.len()),
            "{} in {seconds} s",
            own.len()
        );
        if of_caller {
            assert_eq!(called.len(), 1, "{sampling}");
        }
    }
}
