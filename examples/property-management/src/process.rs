//! Starts and stops a process. Telemetry starts before the runtime and stops after it, so that
//! every span has ended before the last export.

use std::{
    env::{self, VarError},
    future::Future,
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use axum::Router;
use tokio::{net::TcpListener, runtime::Runtime, sync::watch, task, time};
use tower_otel_init::{InitError, MetricsExporter, Telemetry, shutdown_signal};
use tower_otel_prometheus::Prometheus;

use crate::{
    BoxError,
    config::Variables,
    control::run_with_control,
    instruments::recorder,
    layers::{self, Layers},
};

/// The time limit of running requests after a shutdown is requested. It is longer than the time limit of a handler.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(35);
const _: () = assert!(DRAIN_TIMEOUT.as_secs() > layers::HANDLER_TIMEOUT.as_secs());

/// The time limit of the runtime shutdown.
const RUNTIME_TIMEOUT: Duration = Duration::from_secs(1);

/// The time limit of a flush, and of the last export.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// The state that a process gives to its service.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) shutdown: Shutdown,
    /// The address of the operational routes. `None` for the address of the service.
    pub(crate) operations_addr: Option<String>,
}

impl Process {
    /// Returns `None` if metrics are off or use another exporter.
    pub(crate) fn prometheus(&self) -> Option<&Prometheus> {
        self.telemetry.prometheus()
    }

    /// Returns the layers of servers and clients.
    pub(crate) fn layers(&self) -> Layers {
        Layers::new(self.telemetry.tracer_provider().is_some())
    }

    /// Exports every span that has ended.
    pub(crate) async fn flush(&self) -> Result<(), BoxError> {
        let telemetry = Arc::clone(&self.telemetry);
        Ok(task::spawn_blocking(move || telemetry.flush(EXPORT_TIMEOUT)).await??)
    }
}

/// Becomes `true` once, when a shutdown is requested.
#[derive(Clone)]
pub(crate) struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Listens for Ctrl-C and SIGTERM.
    fn on_signal() -> Self {
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            shutdown_signal().await;
            let _ = sender.send(true);
            // Keeps the sender, so that later receivers get the value.
            sender.closed().await;
        });
        Self(receiver)
    }

    /// Waits until a shutdown is requested.
    pub(crate) async fn wait(&self) {
        let mut receiver = self.0.clone();
        let _ = receiver.wait_for(|requested| *requested).await;
    }

    pub(crate) fn is_requested(&self) -> bool {
        *self.0.borrow()
    }
}

/// Runs a service until it ends or a shutdown is requested.
pub(crate) fn run<F>(name: &str, service: impl FnOnce(Process) -> F) -> ExitCode
where
    F: Future<Output = Result<(), BoxError>>,
{
    run_with(name, telemetry(name), |process| async move {
        let variables = Variables::from_env();
        let control_addr = variables.control_addr()?;
        let telemetry = Arc::clone(&process.telemetry);
        let service = service(Process {
            operations_addr: variables.operations_addr(),
            ..process
        });
        match control_addr {
            Some(address) => run_with_control(address, &telemetry, service).await,
            None => service.await,
        }
    })
}

/// Starts telemetry from the environment, with the buckets of this system if Prometheus is
/// selected.
fn telemetry(name: &str) -> Result<Telemetry, InitError> {
    let builder = Telemetry::builder(name);
    // Exporters set in code take precedence over the variable.
    let builder = match env::var("OTEL_METRICS_EXPORTER").as_deref() {
        Err(VarError::NotPresent) | Ok("" | "prometheus") => builder.prometheus(recorder()),
        Ok("otlp,prometheus") => builder
            .metrics(MetricsExporter::Otlp)
            .prometheus(recorder()),
        _ => builder,
    };
    builder.install()
}

/// Runs a service with the given telemetry.
pub(crate) fn run_with<F>(
    name: &str,
    telemetry: Result<Telemetry, InitError>,
    service: impl FnOnce(Process) -> F,
) -> ExitCode
where
    F: Future<Output = Result<(), BoxError>>,
{
    let telemetry = match telemetry {
        Ok(telemetry) => telemetry,
        Err(error) => return failed(name, &error),
    };
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(name, &error),
    };
    let telemetry = Arc::new(telemetry);
    let outcome = runtime.block_on(async {
        let shutdown = Shutdown::on_signal();
        let process = Process {
            telemetry: Arc::clone(&telemetry),
            shutdown,
            operations_addr: None,
        };
        service(process).await
    });
    // Requests that still run are cancelled here, and their spans end.
    runtime.shutdown_timeout(RUNTIME_TIMEOUT);
    // A failed export was logged.
    let _ = telemetry.shutdown(EXPORT_TIMEOUT);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(name, &*error),
    }
}

fn failed(name: &str, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{name}: {error}");
    ExitCode::FAILURE
}

/// Binds a listener and logs its address.
pub(crate) async fn listen(address: &str) -> Result<TcpListener, BoxError> {
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .map_err(|error| format!("LISTEN_ADDR: cannot listen on \"{address}\": {error}"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    Ok(listener)
}

/// Serves a service and its operational routes. The operational routes have a separate address if one is
/// configured. They are served until the service has ended, so that they can be read during the shutdown.
pub(crate) async fn serve_with_operations(
    listener: TcpListener,
    app: Router,
    operations: Router,
    process: &Process,
) -> Result<(), BoxError> {
    let Some(address) = &process.operations_addr else {
        return serve(listener, app.merge(operations), &process.shutdown).await;
    };
    let operations_listener = TcpListener::bind(address).await;
    let operations_listener = operations_listener
        .map_err(|error| format!("OPERATIONS_ADDR: cannot listen on \"{address}\": {error}"))?;
    tracing::info!(address = %operations_listener.local_addr()?, "operational routes");
    tokio::select! {
        result = serve(listener, app, &process.shutdown) => result,
        result = axum::serve(operations_listener, operations) => Ok(result?),
    }
}

/// Serves until a shutdown is requested, then waits a limited time for running requests.
pub(crate) async fn serve(
    listener: TcpListener,
    app: Router,
    shutdown: &Shutdown,
) -> Result<(), BoxError> {
    let requested = shutdown.clone();
    let server = axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(async move { requested.wait().await });
    let timeout = async {
        shutdown.wait().await;
        tracing::info!("stopping");
        time::sleep(DRAIN_TIMEOUT).await;
    };
    tokio::select! {
        result = server => result?,
        () = timeout => tracing::warn!("requests did not end in time and are cancelled"),
    }
    Ok(())
}
