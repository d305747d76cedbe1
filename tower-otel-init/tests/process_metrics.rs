//! Metrics of the process and of its tokio runtime, for Prometheus and over OTLP.
#![cfg(all(
    target_os = "linux",
    feature = "grpc",
    feature = "process",
    feature = "prometheus"
))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Mutex;

use collector::{Collector, TIMEOUT};
use tower_otel_init::{Layers, MetricsExporter, Telemetry, TracesExporter};
use tracing_subscriber::Registry;

/// Locked by each test, because both tests open files.
static ALONE: Mutex<()> = Mutex::new(());

/// The value of a series without labels.
fn value(text: &str, name: &str) -> f64 {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name} in {text}"))
        .parse()
        .unwrap()
}

/// Reads the first event of the page, which makes the page render the metrics.
#[cfg(feature = "page")]
fn read_overview(address: std::net::SocketAddr) {
    use std::io::{BufRead, BufReader, Write};

    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    write!(stream, "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    let data = { lines }.find(|line| line.starts_with("data: ")).unwrap();
    assert!(!data.contains("\"metrics\":null"), "{data}");
}

#[test]
fn prometheus_has_the_process_and_the_runtime_that_renders_the_metrics() {
    let _alone = ALONE.lock().unwrap();
    let telemetry = Telemetry::builder("users").traces(TracesExporter::None);
    let telemetry = telemetry.metrics(MetricsExporter::Prometheus);
    #[cfg(feature = "page")]
    let telemetry = telemetry.page((std::net::Ipv4Addr::LOCALHOST, 0));
    // Installs the recorder of the process, and no subscriber.
    let (telemetry, _): (_, Layers<Registry>) = telemetry.layers().unwrap();
    let prometheus = telemetry.prometheus().unwrap();
    // The page also reads the metrics, but not on threads of the application's runtime.
    #[cfg(feature = "page")]
    read_overview(telemetry.page().unwrap());
    let before = prometheus.render();
    assert!(!before.contains("tokio_"), "{before}");
    let memory = value(&before, "process_resident_memory_bytes");
    assert!((1e6..1e12).contains(&memory), "{memory}");
    assert!(value(&before, "process_virtual_memory_bytes") >= memory);
    let open = value(&before, "process_open_fds");
    assert!(open >= 3.0 && open <= value(&before, "process_max_fds"));
    assert!(value(&before, "process_threads") >= 1.0);
    assert!(value(&before, "process_start_time_seconds") > 1.7e9);
    assert!(before.contains("# TYPE process_cpu_seconds_total counter"));

    let runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = { runtime }.worker_threads(3).build().unwrap();
    runtime.spawn(std::future::pending::<()>());
    // More files than the sockets that the page closes at the same time.
    let files: Vec<_> = (0..20)
        .map(|_| std::fs::File::open("/proc/self/stat").unwrap())
        .collect();
    let text = runtime.block_on(async { prometheus.render() });
    assert_eq!(value(&text, "tokio_workers"), 3.0);
    assert_eq!(value(&text, "tokio_live_tasks"), 1.0);
    assert!(value(&text, "tokio_global_queue_depth") <= 1.0);
    assert!(text.contains("# TYPE tokio_busy_seconds_total counter"));
    assert!(value(&text, "process_open_fds") > open);
    drop(files);
    // The metrics still describe the first runtime.
    assert_eq!(value(&prometheus.render(), "tokio_workers"), 3.0);
}

#[test]
fn otlp_has_the_names_of_the_conventions() {
    let _alone = ALONE.lock().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let collector = Collector::grpc();
    let builder = Telemetry::builder("users").traces(TracesExporter::None);
    let builder = builder.metrics(MetricsExporter::Otlp);
    let builder = builder.endpoint(collector.endpoint());
    let (telemetry, _): (_, Layers<Registry>) = builder.local().unwrap();
    telemetry.shutdown(TIMEOUT).unwrap();
    let received = collector.received.lock().unwrap();
    let metrics = format!("{:?}", received.metrics);
    for name in [
        "process.cpu.time",
        "process.memory.usage",
        "process.memory.virtual",
        "process.unix.file_descriptor.count",
        "process.thread.count",
        "tokio.workers",
        "tokio.busy.time",
    ] {
        assert!(
            metrics.contains(&format!("{name:?}")),
            "{name} in {metrics}"
        );
    }
}
