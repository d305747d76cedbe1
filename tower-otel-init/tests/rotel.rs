//! Interoperability with rotel, an independent collector that prints the received spans.
#![cfg(all(feature = "grpc", feature = "http"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::get;
use collector::until;
use tower::ServiceExt;
use tower_otel_init::{Layers, MetricsExporter, Protocol, Sampler, Telemetry, TraceLayer};
use tracing_subscriber::Registry;

struct Rotel {
    child: Child,
    ports: [u16; 2],
    output: Arc<Mutex<String>>,
}

impl Rotel {
    /// Starts `rotel-agent`, from the path in `ROTEL_AGENT` if it is set.
    fn start() -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners = [free(), free()];
        let ports = listeners.map(|listener| listener.local_addr().unwrap().port());
        let agent = std::env::var("ROTEL_AGENT").unwrap_or_else(|_| "rotel-agent".to_owned());
        let [grpc, http] = ports.map(|port| format!("127.0.0.1:{port}"));
        let mut child = Command::new(&agent)
            .args([
                "start",
                "--otlp-grpc-endpoint",
                &grpc,
                "--otlp-http-endpoint",
                &http,
            ])
            .args(["--exporter", "blackhole", "--debug-log", "traces"])
            .args(["--debug-log-verbosity", "detailed"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{agent}: {error}"));
        let output = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn std::io::Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in streams {
            let output = Arc::clone(&output);
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let mut output = output.lock().unwrap();
                    output.push_str(&line);
                    output.push('\n');
                }
            });
        }
        for port in ports {
            until("rotel", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        }
        Self {
            child,
            ports,
            output,
        }
    }

    fn printed(&self, text: &str) -> bool {
        self.output.lock().unwrap().contains(text)
    }
}

impl Drop for Rotel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "needs rotel: pip install rotel, and ROTEL_AGENT with the path of its rotel-agent"]
fn rotel_receives_server_spans_over_both_protocols() {
    let rotel = Rotel::start();
    let [grpc, http] = rotel.ports;
    for (protocol, port, name) in [
        (Protocol::Grpc, grpc, "by-grpc"),
        (Protocol::HttpProtobuf, http, "by-http"),
    ] {
        let (telemetry, _): (_, Layers<Registry>) = Telemetry::builder(name)
            .resource_attribute("service.name", name)
            .endpoint(format!("http://127.0.0.1:{port}"))
            .protocol(protocol)
            .sampler(Sampler::ratio(1.0))
            .metrics(MetricsExporter::None)
            .local()
            .unwrap();
        let provider = telemetry.tracer_provider().unwrap();
        let app = Router::new()
            .route("/users/{id}", get(|| async { "user" }))
            .layer(TraceLayer::server().tracer_provider(provider));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            let request = Request::get("/users/7").body(Body::empty()).unwrap();
            let response = app.oneshot(request).await.unwrap();
            axum::body::to_bytes(response.into_body(), 100)
                .await
                .unwrap();
        });
        telemetry.shutdown(Duration::from_secs(30)).unwrap();
        until(name, || rotel.printed(name));
    }
    until("the spans", || {
        rotel
            .output
            .lock()
            .unwrap()
            .matches("GET /users/{id}")
            .count()
            >= 2
    });
    for part in ["http.route", "service.instance.id"] {
        assert!(
            rotel.printed(part),
            "{part} in {}",
            rotel.output.lock().unwrap()
        );
    }
}
