//! The life of a process: telemetry first, then the runtime; the runtime stops first, so that every
//! span has ended when telemetry delivers the last ones.

use std::{
    env::{self, VarError},
    future::Future,
    net::SocketAddr,
    process::ExitCode,
    time::Duration,
};

use axum::Router;
use tokio::{net::TcpListener, runtime::Runtime, sync::watch, time};
use tower_otel_init::{InitError, Telemetry, shutdown_signal};
use tower_otel_prometheus::Prometheus;

use crate::{BoxError, instruments::recorder};

/// How long requests may take to end once the process was asked to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long tasks may take to notice that their runtime is gone.
const TASKS: Duration = Duration::from_secs(1);

/// How long the last spans may take to a collector.
const DELIVERY: Duration = Duration::from_secs(5);

/// What a process has.
#[derive(Clone)]
pub(crate) struct Process {
    /// `None` where metrics are off or go elsewhere.
    pub(crate) prometheus: Option<Prometheus>,
    pub(crate) stop: Stop,
}

/// Becomes true once, when it is time to stop.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// On Ctrl-C and SIGTERM.
    fn on_signal() -> Self {
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            shutdown_signal().await;
            let _ = sender.send(true);
            // Whoever asks later has to be told as well.
            sender.closed().await;
        });
        Self(receiver)
    }

    /// Waits until it is time.
    pub(crate) async fn asked(&self) {
        let mut receiver = self.0.clone();
        let _ = receiver.wait_for(|stop| *stop).await;
    }

    pub(crate) fn is_asked(&self) -> bool {
        *self.0.borrow()
    }
}

/// Runs a service of this name until it ends or is asked to stop.
pub(crate) fn run<F>(name: &str, service: impl FnOnce(Process) -> F) -> ExitCode
where
    F: Future<Output = Result<(), BoxError>>,
{
    run_with(name, telemetry(name), service)
}

/// Telemetry from the environment, with the buckets of this system where Prometheus is chosen.
fn telemetry(name: &str) -> Result<Telemetry, InitError> {
    let builder = Telemetry::builder(name);
    // A recorder set in code takes precedence over another exporter in the variable.
    let builder = match env::var("OTEL_METRICS_EXPORTER").as_deref() {
        Err(VarError::NotPresent) | Ok("" | "prometheus") => builder.prometheus(recorder()),
        _ => builder,
    };
    builder.install()
}

/// The same, with telemetry that is not the environment's.
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
    let prometheus = telemetry.prometheus().cloned();
    let outcome = runtime.block_on(async {
        let stop = Stop::on_signal();
        service(Process { prometheus, stop }).await
    });
    // What is still in flight ends here, as cancelled, and is told so.
    runtime.shutdown_timeout(TASKS);
    // What was lost is in a warning already.
    let _ = telemetry.shutdown(DELIVERY);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(name, &*error),
    }
}

fn failed(name: &str, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("{name}: {error}");
    ExitCode::FAILURE
}

/// Listens, and says where.
pub(crate) async fn listen(address: &str) -> Result<TcpListener, BoxError> {
    let listener = TcpListener::bind(address).await;
    let listener = listener
        .map_err(|error| format!("LISTEN_ADDR is `{address}`, where nobody can listen: {error}"))?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    Ok(listener)
}

/// Serves until it is time to stop, and then for as long as requests take to end, within reason.
pub(crate) async fn serve(listener: TcpListener, app: Router, stop: &Stop) -> Result<(), BoxError> {
    let asked = stop.clone();
    let serving = axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .with_graceful_shutdown(async move { asked.asked().await });
    let out_of_time = async {
        stop.asked().await;
        tracing::info!("stopping");
        time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => served?,
        () = out_of_time => tracing::warn!("requests were still running, and are cancelled"),
    }
    Ok(())
}
