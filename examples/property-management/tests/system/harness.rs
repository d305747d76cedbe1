//! Starts the system for a test.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};

use opentelemetry_proto::tonic::{
    common::v1::any_value,
    trace::v1::{Span, status::StatusCode},
};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use sqlx::{AnyPool, any::install_default_drivers};
use suite_tests::otlp::{Receiver, attribute};
use tokio::{sync::watch, time};
use uuid::Uuid;

pub(crate) const EMAIL: &str = "canary-email@example.com";
pub(crate) const PASSWORD: &str = "canary-password";
pub(crate) const SECRET: &str = "canary-jwt-secret-that-is-long-enough";

/// The time limit of each wait.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct System {
    pub(crate) client: Client,
    pub(crate) api: String,
    pub(crate) reality: String,
    pub(crate) jobs: String,
    pub(crate) model: String,
    pub(crate) database: String,
    processes: Vec<(&'static str, Process)>,
    receiver: Receiver,
    token: OnceLock<String>,
    folder: PathBuf,
}

/// Returns the value of a text attribute.
pub(crate) fn text(span: &Span, key: &str) -> String {
    match attribute(span, key) {
        Some(any_value::Value::StringValue(text)) => text,
        other => panic!("{key} of {} is {other:?}", span.name),
    }
}

/// Returns `error.type`. Asserts that it is present if and only if the status is an error.
pub(crate) fn error(span: &Span) -> Option<String> {
    let has_type = attribute(span, "error.type").is_some();
    assert_eq!(has_type, is_failed(span), "{span:#?}");
    has_type.then(|| text(span, "error.type"))
}

pub(crate) fn is_failed(span: &Span) -> bool {
    let status = span.status.as_ref();
    status.is_some_and(|status| status.code() == StatusCode::Error)
}

/// A process and its output. It is killed when the system is dropped; its channel closes when its
/// output ends.
struct Process {
    child: Child,
    output: watch::Receiver<String>,
}

impl System {
    /// Starts the system with a SQLite file.
    pub(crate) async fn start() -> Self {
        Self::start_with_page(None).await
    }

    /// Starts the system with a SQLite file. The api-server has the page, and the other processes send their spans to it.
    pub(crate) async fn start_with_page(page: Option<SocketAddr>) -> Self {
        let folder = std::env::temp_dir().join(format!("pms-test-{}", Uuid::now_v7()));
        std::fs::create_dir(&folder).unwrap();
        let database = format!("sqlite://{}", folder.join("database").display());
        Self::start_processes(&database, folder, page).await
    }

    /// Starts the system with a database. The folder is removed when the system is dropped.
    pub(crate) async fn start_on(database: &str, folder: PathBuf) -> Self {
        Self::start_processes(database, folder, None).await
    }

    async fn start_processes(database: &str, folder: PathBuf, page: Option<SocketAddr>) -> Self {
        let receiver = Receiver::start().await;
        let collector = receiver.endpoint();
        let start = |binary: &str, variables: &[(&str, &str)]| {
            let mut command = Command::new(binary);
            command
                .env_clear()
                .env("LISTEN_ADDR", "127.0.0.1:0")
                .env("DATABASE_URL", database)
                .env("JWT_SECRET", SECRET)
                .env("LOG_LEVEL", "debug")
                .env("OTEL_BSP_SCHEDULE_DELAY", "50")
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector)
                .env("OTEL_TRACES_SAMPLER", "parentbased_always_on")
                .envs(variables.iter().copied());
            Process::start(command)
        };
        let page = page.map(|page| page.to_string()).unwrap_or_default();
        let to_page = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{page}")),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf".to_owned()),
        ];
        let to_page = to_page.iter().map(|(name, value)| (*name, &**value));
        let to_page: Vec<_> = to_page.filter(|_| !page.is_empty()).collect();
        let stand_in = start(env!("CARGO_BIN_EXE_model-stand-in"), &[]);
        let reality_server = start(env!("CARGO_BIN_EXE_reality-server"), &to_page);
        let worker = start(env!("CARGO_BIN_EXE_jobs"), &to_page);
        let (model, reality) = (stand_in.url().await, reality_server.url().await);
        let api_server = start(
            env!("CARGO_BIN_EXE_api-server"),
            &[
                ("REALITY_URL", &*reality),
                ("LLM_BASE_URL", &format!("{model}/v1")),
                ("LLM_API_KEY", "canary-llm-key"),
                ("LLM_MODEL", "test-model"),
                ("LLM_TIMEOUT", "4000"),
                ("TELEMETRY_PAGE", &*page),
            ],
        );
        for process in [&reality_server, &worker, &api_server] {
            process.wait_for_output("database ready").await;
        }
        let system = Self {
            client: Client::builder().timeout(TIMEOUT).build().unwrap(),
            api: api_server.url().await,
            reality,
            jobs: worker.url().await,
            model,
            database: database.to_owned(),
            processes: vec![
                ("model-stand-in", stand_in),
                ("reality-server", reality_server),
                ("jobs", worker),
                ("api-server", api_server),
            ],
            receiver,
            token: OnceLock::new(),
            folder,
        };
        for base in [&system.api, &system.reality, &system.jobs] {
            let ready = system.client.get(format!("{base}/readyz"));
            assert_eq!(ready.send().await.unwrap().status(), 200, "{base}");
        }
        system
    }

    pub(crate) fn token(&self) -> String {
        self.token.get().cloned().unwrap_or_default()
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        let request = self.client.get(format!("{}{path}", self.api));
        request.bearer_auth(self.token())
    }

    pub(crate) fn post(&self, path: &str, body: Option<Value>) -> RequestBuilder {
        let request = self.client.post(format!("{}{path}", self.api));
        let request = request.header("content-type", "application/json");
        let request = match body {
            Some(body) => request.body(body.to_string()),
            None => request,
        };
        request.bearer_auth(self.token())
    }

    /// Creates a user, logs in, adds a flat and returns its id.
    pub(crate) async fn create_user_with_flat(&self) -> String {
        let credentials = json!({ "email": EMAIL, "password": PASSWORD });
        let field = async |path, body, name: &str| {
            let response = self.post(path, Some(body)).send().await.unwrap();
            let text = response.text().await.unwrap();
            let json: Value = serde_json::from_str(&text).unwrap();
            json[name]
                .as_str()
                .unwrap_or_else(|| panic!("{text}"))
                .to_owned()
        };
        field("/users", credentials.clone(), "id").await;
        let token = field("/login", credentials, "token").await;
        self.token.set(token).unwrap();
        let flat = json!({ "title": "Flat", "city": "Graz", "rent_cents": 90_000 });
        field("/properties", flat, "id").await
    }

    /// Sets the fault of the model provider.
    pub(crate) async fn set_fault(&self, fault: &Value) {
        let put = self.client.put(format!("{}/fault", self.model));
        let put = put.header("content-type", "application/json");
        let response = put.body(fault.to_string()).send().await.unwrap();
        assert!(response.status().is_success(), "{fault}");
    }

    /// Connects to the database.
    pub(crate) async fn database(&self) -> AnyPool {
        install_default_drivers();
        AnyPool::connect(&self.database).await.unwrap()
    }

    /// Waits until the received spans match.
    pub(crate) async fn spans(
        &self,
        expected: &str,
        matches: impl Fn(&[(String, Span)]) -> bool,
    ) -> Vec<(String, Span)> {
        let waiting = self.receiver.spans_until(matches);
        time::timeout(TIMEOUT, waiting).await.expect(expected)
    }

    /// Waits until the metrics of a process match.
    pub(crate) async fn metrics_until(
        &self,
        base: &str,
        expected: &str,
        matches: impl Fn(&str) -> bool,
    ) -> String {
        let waiting = async {
            loop {
                let response = self
                    .client
                    .get(format!("{base}/metrics"))
                    .send()
                    .await
                    .unwrap();
                let text = response.text().await.unwrap();
                if matches(&text) {
                    return text;
                }
                time::sleep(Duration::from_millis(10)).await;
            }
        };
        time::timeout(TIMEOUT, waiting).await.expect(expected)
    }

    /// Starts another reality-server, with separate addresses for the operational routes and for the control
    /// service. Returns the URLs of all three.
    pub(crate) async fn start_with_operations(&mut self) -> [String; 3] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reality-server"));
        command
            .env_clear()
            .env("LISTEN_ADDR", "127.0.0.1:0")
            .env("OPERATIONS_ADDR", "127.0.0.1:0")
            .env("CONTROL_ADDR", "127.0.0.1:0")
            .env("DATABASE_URL", &self.database)
            .env("JWT_SECRET", SECRET);
        let process = Process::start(command);
        let urls = [
            process.url().await,
            process.logged_url("operational routes").await,
            process.logged_url("control of telemetry").await,
        ];
        self.processes.push(("another", process));
        urls
    }

    fn process(&mut self, name: &str) -> &mut Process {
        let found = self.processes.iter_mut().find(|(key, _)| *key == name);
        &mut found.unwrap().1
    }

    pub(crate) fn kill(&mut self, name: &str) {
        let process = self.process(name);
        process.child.kill().unwrap();
        process.child.wait().unwrap();
    }

    /// Stops a process with SIGTERM, as Kubernetes does.
    pub(crate) fn terminate(&mut self, name: &str) -> ExitStatus {
        self.signal(name, "-TERM");
        self.process(name).child.wait().unwrap()
    }

    /// Suspends a process: its port stays open, but it does not respond.
    pub(crate) fn freeze(&mut self, name: &str) {
        self.signal(name, "-STOP");
    }

    fn signal(&mut self, name: &str, signal: &str) {
        let id = self.process(name).child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.unwrap().success(), "{signal} to {name}");
    }

    /// Stops all processes and returns their output.
    pub(crate) async fn stop(mut self) -> String {
        for name in ["api-server", "reality-server", "jobs"] {
            self.terminate(name);
        }
        self.kill("model-stand-in");
        let mut output = String::new();
        for (_, process) in &mut self.processes {
            while process.output.changed().await.is_ok() {}
            output += &process.output.borrow();
        }
        output
    }
}

impl Drop for System {
    fn drop(&mut self) {
        for (_, process) in &mut self.processes {
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Process {
    fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, output) = watch::channel(String::new());
        let sender = Arc::new(sender);
        let streams: [Box<dyn Read + Send>; 2] = [
            Box::new(child.stdout.take().unwrap()),
            Box::new(child.stderr.take().unwrap()),
        ];
        for stream in streams {
            let sender = Arc::clone(&sender);
            thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    sender.send_modify(|output| *output += &format!("{line}\n"));
                }
            });
        }
        Self { child, output }
    }

    /// Waits until the output contains a text.
    async fn wait_for_output(&self, text: &str) -> String {
        let mut output = self.output.clone();
        let found = output.wait_for(|output| output.contains(text));
        match time::timeout(TIMEOUT, found).await {
            Ok(Ok(output)) => output.clone(),
            _ => panic!("no {text} in: {}", *self.output.borrow()),
        }
    }

    /// Returns the URL from the logged address.
    async fn url(&self) -> String {
        self.logged_url("listening").await
    }

    /// Returns the URL of the address that is logged with a message.
    async fn logged_url(&self, message: &str) -> String {
        let message = format!("\"{message}\"");
        let output = self.wait_for_output(&message).await;
        let line = output.lines().find(|line| line.contains(&message));
        let line: Value = serde_json::from_str(line.unwrap()).unwrap();
        let address = line.pointer("/fields/address").and_then(Value::as_str);
        format!("http://{}", address.unwrap())
    }
}
