//! A service in a separate process.

use std::{
    convert::Infallible,
    future::pending,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use axum::{Router, body::Body, extract::Path, http::StatusCode, routing::get};
use futures_util::{StreamExt, stream};
use tower::ServiceBuilder;
use tower_otel_init::{MetricsLayer, Telemetry, TraceLayer, shutdown_signal};

/// The service. The tests below run it in a separate process.
#[test]
#[ignore = "runs in a process started by the other tests"]
pub(crate) fn service() {
    let Ok(flavour) = std::env::var("SERVICE_RUNTIME") else {
        return;
    };
    let mut builder = match &*flavour {
        "multi" => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let telemetry = Telemetry::from_env("unnamed").unwrap();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(serve(&telemetry));
    // Ends the tasks of open connections.
    drop(runtime);
}

#[tracing::instrument]
async fn price(item: u64) -> String {
    format!("{item} costs 7")
}

/// Blocks the thread forever.
fn block() -> &'static str {
    eprintln!("blocked");
    loop {
        std::thread::park();
    }
}

async fn serve(telemetry: &Telemetry) {
    let second = Telemetry::from_env("again").unwrap_err().to_string();
    assert!(second.contains("already started"), "{second}");
    let provider = telemetry.tracer_provider().cloned();
    let mut app = Router::new().route(
        "/users/{id}",
        get(|| async {
            tracing::info!(page = 7, "hello");
            tracing::debug!("never");
            "user"
        }),
    );
    app = app.route(
        "/prices/{id}",
        get(|Path(item): Path<u64>| async move { price(item).await }),
    );
    app = app.route(
        "/fails",
        get(|| async {
            price(7).await;
            StatusCode::INTERNAL_SERVER_ERROR
        }),
    );
    app = app.route(
        "/events",
        get(|| async {
            let first = stream::iter([Ok::<_, Infallible>("data: 1\n\n")]);
            Body::from_stream(first.chain(stream::pending()))
        }),
    );
    app = app.route("/block", get(|| async { block() }));
    let metrics = MetricsLayer::server();
    app = match (std::env::var("SERVICE_BACKEND").as_deref(), provider) {
        (Ok("opentelemetry"), Some(provider)) => {
            let traces = TraceLayer::server().tracer_provider(&provider);
            app.layer(ServiceBuilder::new().layer(traces).layer(metrics))
        }
        _ => app.layer(
            ServiceBuilder::new()
                .layer(TraceLayer::server())
                .layer(metrics),
        ),
    };
    if let Some(prometheus) = telemetry.prometheus() {
        app = app.route_service("/metrics", prometheus.service());
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    eprintln!("port {}", listener.local_addr().unwrap().port());
    let server = axum::serve(listener, app).with_graceful_shutdown(shutdown_signal());
    let limit = std::env::var("SERVICE_DRAIN_MS").map(|limit| limit.parse().unwrap());
    let drained = async {
        shutdown_signal().await;
        eprintln!("stopping");
        match limit {
            Ok(limit) => tokio::time::sleep(Duration::from_millis(limit)).await,
            Err(_) => pending().await,
        }
    };
    tokio::select! {
        served = server => served.unwrap(),
        () = drained => {}
    }
    eprintln!("served");
}

pub(crate) struct Service {
    pub(crate) child: Child,
    pub(crate) port: u16,
}

/// Reads a chunked body. Each chunk starts with its length in hexadecimal digits.
fn read_chunks(reader: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let mut length = String::new();
        reader.read_line(&mut length).unwrap();
        let length = usize::from_str_radix(length.trim(), 16).unwrap();
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).unwrap();
        if length == 0 {
            return body;
        }
        body.extend_from_slice(&chunk[..length]);
    }
}

impl Service {
    pub(crate) fn start(runtime: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "service::service",
                "--exact",
                "--ignored",
                "--nocapture",
                "-q",
            ])
            .env("SERVICE_RUNTIME", runtime)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
        let port = lines
            .by_ref()
            .map(Result::unwrap)
            .inspect(|line| eprintln!("service: {line}"))
            .find_map(|line| line.strip_prefix("port ")?.parse().ok());
        drop(lines);
        let port = port.unwrap_or_else(|| panic!("the service did not start"));
        Self { child, port }
    }

    /// Sends requests one after another on one connection, and returns the last response body.
    pub(crate) fn get(&self, path: &str, times: usize) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut body = Vec::new();
        for _ in 0..times {
            write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            let (mut length, mut is_chunked) = (0, false);
            for line in reader.by_ref().lines().map(Result::unwrap) {
                if let Some(number) = line.strip_prefix("content-length: ") {
                    length = number.parse().unwrap();
                }
                is_chunked |= line == "transfer-encoding: chunked";
                if line.is_empty() {
                    break;
                }
            }
            body = if is_chunked {
                read_chunks(&mut reader)
            } else {
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                body
            };
        }
        String::from_utf8(body).unwrap()
    }

    /// Opens a stream of events that never ends, and reads the first event.
    pub(crate) fn open_events(&self) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(stream, "GET /events HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut lines = reader.by_ref().lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "data: 1"));
        drop(lines);
        reader
    }

    pub(crate) fn send_sigterm(&self) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(killed.success());
    }

    /// Waits until the service has written this line to its standard error.
    pub(crate) fn wait_for_line(&mut self, expected: &str) {
        let mut lines = BufReader::new(self.child.stderr.as_mut().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == expected));
    }

    /// Stops the service with `SIGTERM` and returns its standard output.
    pub(crate) fn stop(self) -> String {
        self.send_sigterm();
        let Output { status, stdout, .. } = self.child.wait_with_output().unwrap();
        let stdout = String::from_utf8(stdout).unwrap();
        assert!(status.success(), "{status}: {stdout}");
        stdout
    }
}

/// Returns the JSON lines of the output.
pub(crate) fn log_lines(output: &str) -> Vec<serde_json::Value> {
    let lines = output.lines().filter(|line| line.starts_with('{'));
    lines
        .map(|line| serde_json::from_str(line).expect(line))
        .collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) const ALWAYS_ON: (&str, &str) = ("OTEL_TRACES_SAMPLER", "always_on");
