//! A Prometheus server scrapes the quickstart and evaluates typical queries.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use reqwest::{Client, Url};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader, Lines},
    process::{ChildStderr, ChildStdout},
    task::JoinHandle,
    time,
};

/// The time limit of each wait.
const TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs prometheus and promtool (Debian package prometheus): cargo test -p quickstart -- --ignored"]
async fn rate_errors_and_duration_can_be_queried() {
    let quickstart = Quickstart::start().await;
    let prometheus = Prometheus::start(&quickstart.metrics, &[]).await;
    let _traffic = quickstart.send_requests();

    // The exact counts of the requests that the quickstart sends.
    for (query, value) in [
        (
            r#"http_requests_total{path="/reports/{year}",status="cancelled"}"#,
            1.0,
        ),
        (r#"http_requests_total{path="unmatched",status="404"}"#, 1.0),
        (
            r#"http_responses_aborted_total{path="/exports/{lines}"}"#,
            1.0,
        ),
        (r#"sum(http_requests_total{path="/orders/{sku}"})"#, 8.0),
        (
            r#"sum(http_request_duration_seconds_count{path="/orders/{sku}"})"#,
            8.0,
        ),
        (r#"sum(http_client_requests_total{method="POST"})"#, 8.0),
    ] {
        prometheus.until(query, |found| found == value).await;
    }

    // The requests of `send_requests`: one in four fails.
    let products = r#"path="/products/{sku}""#;
    let rate = format!("sum(rate(http_requests_total{{{products}}}[10s]))");
    let failed = format!(r#"sum(rate(http_requests_total{{{products},status=~"5.."}}[10s]))"#);
    prometheus.until(&rate, |found| found > 1.0).await;
    prometheus
        .until(&format!("{failed} / {rate}"), |ratio| {
            (0.15..0.35).contains(&ratio)
        })
        .await;

    // A request takes at least 4 ms.
    let p99 = |labels: &str| {
        let buckets = format!("http_request_duration_seconds_bucket{labels}");
        format!("histogram_quantile(0.99, sum by (le) (rate({buckets}[10s])))")
    };
    for labels in ["", &format!("{{{products}}}"), r#"{path="/items/{sku}"}"#] {
        let plausible = |seconds| (0.004..=2.5).contains(&seconds);
        prometheus.until(&p99(labels), plausible).await;
    }

    // Every scrape succeeds, and contains the gauges.
    prometheus.until("min(up)", |up| up == 1.0).await;
    prometheus
        .until("sum(http_requests_in_flight) >= bool 0", |found| {
            found == 1.0
        })
        .await;
}

/// Scrapes in protobuf have native histograms only, without `_bucket` series.
#[tokio::test]
#[ignore = "needs prometheus and promtool (Debian package prometheus): cargo test -p quickstart -- --ignored"]
async fn native_histograms_can_be_queried() {
    let quickstart = Quickstart::start().await;
    let native = ["--enable-feature=native-histograms"];
    let prometheus = Prometheus::start(&quickstart.metrics, &native).await;
    let _traffic = quickstart.send_requests();

    for (query, value) in [
        (r#"sum(http_requests_total{path="/orders/{sku}"})"#, 8.0),
        (
            r#"http_responses_aborted_total{path="/exports/{lines}"}"#,
            1.0,
        ),
        (
            r#"histogram_count(sum(http_request_duration_seconds{path="/orders/{sku}"}))"#,
            8.0,
        ),
    ] {
        prometheus.until(query, |found| found == value).await;
    }
    let products = r#"http_request_duration_seconds{path="/products/{sku}"}"#;
    let rate = format!("sum(rate({products}[10s]))");
    let quantile = format!("histogram_quantile(0.99, {rate})");
    prometheus
        .until(&quantile, |seconds| (0.004..=2.5).contains(&seconds))
        .await;
    let count = format!("histogram_count({rate})");
    prometheus.until(&count, |rate| rate > 1.0).await;
    let mean = format!("histogram_sum({rate}) / histogram_count({rate})");
    prometheus
        .until(&mean, |seconds| (0.002..=2.5).contains(&seconds))
        .await;
    let classic = "count(http_request_duration_seconds_bucket) or vector(0)";
    prometheus.until(classic, |found| found == 0.0).await;
    prometheus.until("min(up)", |up| up == 1.0).await;
}

/// Scrapes in OpenMetrics, and in protobuf with native histograms.
#[tokio::test]
#[ignore = "needs prometheus and promtool (Debian package prometheus): cargo test -p quickstart -- --ignored"]
async fn exemplars_have_the_trace_ids_of_requests() {
    let quickstart = Quickstart::start().await;
    for (features, histogram) in [
        (
            "exemplar-storage",
            "http_client_request_duration_seconds_bucket",
        ),
        (
            "exemplar-storage,native-histograms",
            "http_client_request_duration_seconds",
        ),
    ] {
        let features = format!("--enable-feature={features}");
        let prometheus = Prometheus::start(&quickstart.metrics, &[&features]).await;
        let _traffic = quickstart.send_requests();
        // The spans of the client are in the traces that `send_requests` starts.
        let is_sent = |trace_id: &str| {
            let number = trace_id.strip_prefix(TRACE_ID_PREFIX);
            number.is_some_and(|number| u32::from_str_radix(number, 16).is_ok())
        };
        prometheus.until_exemplar(histogram, is_sent).await;
    }
}

#[tokio::test]
#[ignore = "needs prometheus and promtool (Debian package prometheus): cargo test -p quickstart -- --ignored"]
async fn promtool_check_metrics_reports_nothing() {
    let quickstart = Quickstart::start().await;
    let metrics = reqwest::get(quickstart.metrics.clone()).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let folder = Folder::new();
    let file = folder.0.join("metrics");
    fs::write(&file, &metrics).unwrap();
    let output = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(fs::File::open(&file).unwrap())
        .output()
        .expect("promtool of the Debian package prometheus");
    let messages = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&messages), "", "for\n{metrics}");
    assert!(output.status.success());
}

/// The first digits of the trace ids of requests for products. The last eight digits are the number of the request.
const TRACE_ID_PREFIX: &str = "5ca1ab1e5ca1ab1e5ca1ab1e";

/// Kills the process when it is dropped.
struct KillOnDrop(Child);

impl KillOnDrop {
    fn spawn(command: &mut Command) -> Self {
        let name = command.get_program().to_owned();
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.unwrap_or_else(|error| panic!("{name:?} did not start: {error}")))
    }

    fn stdout(&mut self) -> Lines<BufReader<ChildStdout>> {
        let stdout = self.0.stdout.take().unwrap();
        BufReader::new(ChildStdout::from_std(stdout).unwrap()).lines()
    }

    fn stderr(&mut self) -> Lines<BufReader<ChildStderr>> {
        let stderr = self.0.stderr.take().unwrap();
        BufReader::new(ChildStderr::from_std(stderr).unwrap()).lines()
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The quickstart, while it serves.
struct Quickstart {
    shop: Url,
    metrics: Url,
    _process: KillOnDrop,
}

impl Quickstart {
    async fn start() -> Self {
        let mut process = KillOnDrop::spawn(&mut Command::new(env!("CARGO_BIN_EXE_quickstart")));
        let mut lines = process.stdout();
        let shop = until(&mut lines, |line| line.strip_prefix("shop ")).await;
        let metrics = until(&mut lines, |line| line.strip_prefix("metrics ")).await;
        until(&mut lines, |line| line.strip_prefix("Still serving")).await;
        let url = |line: String| line.split_whitespace().next().unwrap().parse().unwrap();
        Self {
            shop: url(shop),
            metrics: url(metrics),
            _process: process,
        }
    }

    /// Sends requests for products, each in a sampled trace, until the returned value is dropped.
    fn send_requests(&self) -> AbortOnDrop {
        let (client, shop) = (Client::new(), self.shop.clone());
        AbortOnDrop(tokio::spawn(async move {
            let skus = ["lamp", "chair", "broken", "desk"].iter().cycle();
            for (number, sku) in (1_u32..).zip(skus) {
                let url = shop.join(&format!("/products/{sku}")).unwrap();
                let parent = format!("00-{TRACE_ID_PREFIX}{number:08x}-00000000000000ab-01");
                let request = client.get(url).header("traceparent", parent);
                let response = request.send().await.unwrap();
                assert_eq!(response.status().is_success(), *sku != "broken");
                response.bytes().await.unwrap();
            }
        }))
    }
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A Prometheus server that scrapes one target.
struct Prometheus {
    api: Url,
    client: Client,
    _process: KillOnDrop,
    _folder: Folder,
}

impl Prometheus {
    async fn start(target: &Url, options: &[&str]) -> Self {
        let folder = Folder::new();
        let config = folder.0.join("prometheus.yml");
        let target = format!("{}:{}", target.host_str().unwrap(), target.port().unwrap());
        let scrape = format!(
            "global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}\n\
             scrape_configs: [{{job_name: quickstart, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        fs::write(&config, scrape).unwrap();
        let mut process = KillOnDrop::spawn(
            Command::new(std::env::var_os("PROMETHEUS").unwrap_or_else(|| "prometheus".into()))
                .arg(option("config.file", &config))
                .arg(option("storage.tsdb.path", &folder.0.join("data")))
                .arg("--web.listen-address=127.0.0.1:0")
                .args(options),
        );
        let mut log = process.stderr();
        let address = until(&mut log, |line| {
            let (_, address) = line.split_once("msg=\"Listening on\"")?;
            address.split_once("address=").map(|(_, address)| address)
        })
        .await;
        // Keeps reading the log: a full pipe would block the server.
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self {
            api: Url::parse(&format!("http://{address}/api/v1/")).unwrap(),
            client: Client::new(),
            _process: process,
            _folder: folder,
        }
    }

    /// Returns the value of the first series of a query.
    async fn query(&self, query: &str) -> Option<f64> {
        let mut url = self.api.join("query").unwrap();
        url.query_pairs_mut().append_pair("query", query);
        let response = self.client.get(url).send().await.unwrap();
        // The body is not JSON while the server starts.
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).ok()?;
        let value = body.pointer("/data/result/0/value/1")?;
        value.as_str()?.parse().ok()
    }

    /// Repeats a query of exemplars until the trace id of an exemplar matches.
    async fn until_exemplar(&self, query: &str, matches: impl Fn(&str) -> bool) {
        let mut url = self.api.join("query_exemplars").unwrap();
        let range = [("query", query), ("start", "0"), ("end", "9999999999")];
        url.query_pairs_mut().extend_pairs(range);
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let response = self.client.get(url.clone()).send().await.unwrap();
            let text = response.text().await.unwrap();
            let body: Value = serde_json::from_str(&text).unwrap_or_default();
            let series = body.pointer("/data").and_then(Value::as_array);
            let exemplars = series.into_iter().flatten();
            let exemplars = exemplars.filter_map(|series| series.pointer("/exemplars")?.as_array());
            let id = |exemplar: &Value| {
                let id = exemplar.pointer("/labels/trace_id")?;
                id.as_str().map(str::to_owned)
            };
            let trace_ids: Vec<_> = exemplars.flatten().filter_map(id).collect();
            if trace_ids.iter().any(|trace_id| matches(trace_id)) {
                return;
            }
            assert!(Instant::now() < deadline, "no such exemplar: {text}");
            time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Repeats a query until its value matches.
    async fn until(&self, query: &str, matches: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let value = self.query(query).await;
            if value.is_some_and(&matches) {
                return;
            }
            assert!(Instant::now() < deadline, "{query} is {value:?}");
            time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn option(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

/// Reads lines until `find` returns a value.
async fn until<R: AsyncRead + Unpin>(
    lines: &mut Lines<BufReader<R>>,
    find: impl Fn(&str) -> Option<&str>,
) -> String {
    let reading = async {
        let mut read = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(found) = find(&line) {
                return found.trim().to_owned();
            }
            read = read + &line + "\n";
        }
        panic!("the output ended after\n{read}");
    };
    time::timeout(TIMEOUT, reading)
        .await
        .expect("no matching line in time")
}

/// A temporary folder, which is removed when it is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("prometheus-{}-{count}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
