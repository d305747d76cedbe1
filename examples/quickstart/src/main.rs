//! Runs two services, sends a few dozen requests, and prints one trace and a RED table.

mod options;
mod red;
mod services;
mod traffic;

use std::{
    error::Error,
    io::{self, Write},
    net::Ipv4Addr,
    process::ExitCode,
    time::Duration,
};

use tokio::{runtime::Runtime, signal};
use tower_otel_init::{Sampler, Telemetry, TracesExporter};
use tower_otel_prometheus::Prometheus;

use options::Options;
use services::Services;

type BoxError = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("quickstart: {error}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        // The reader, such as `head`, closed the pipe.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), BoxError> {
    match options {
        Options::Help => print(options::USAGE),
        Options::Run { port, once } => Runtime::new()?.block_on(run_services(port, once)),
    }
}

async fn run_services(port: u16, once: bool) -> Result<(), BoxError> {
    let builder = Telemetry::builder("quickstart")
        .traces(TracesExporter::Console)
        .sampler(Sampler::ratio(1.0).parent_based())
        .prometheus(Prometheus::builder().native_histograms())
        .pretty_logs(true);
    let telemetry = match once {
        true => builder.install()?,
        false => builder.page((Ipv4Addr::LOCALHOST, 0)).install()?,
    };
    let prometheus = telemetry.prometheus().ok_or("METRICS_ENABLED is false")?;
    let services = Services::start(port, prometheus).await?;
    print(&services.summary())?;
    if let Some(page) = telemetry.page() {
        print(&format!(
            "page     http://{page:<25}  shows requests and traces in a browser\n"
        ))?;
    }
    print("\n")?;

    // Only the last request is sampled. Its trace is printed, and so are the traces of failing requests, which keep rules select.
    let sent = traffic::send_requests(&services).await?;
    telemetry.flush(Duration::from_secs(5))?;
    print(&format!(
        "{sent} requests sent. Most succeed; others are a 404, a 502, an unknown path,\n\
         a slow stream, a client that disconnects before the response, and one that\n\
         disconnects while reading it.\n"
    ))?;

    let metrics = reqwest::get(services.shop("/metrics"))
        .await?
        .text()
        .await?;
    print(&format!("\n{}", red::tables(&metrics)))?;

    if !once {
        print(&services.next_steps())?;
        signal::ctrl_c().await?;
    }
    Ok(())
}

/// Prints a text. Unlike `print!`, it does not panic if the pipe is closed.
fn print(text: &str) -> Result<(), BoxError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn is_broken_pipe(error: &BoxError) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
