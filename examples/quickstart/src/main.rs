//! The suite in a minute: a shop that asks a stock, a few dozen requests through both, one of
//! their traces as a tree and all of them as a RED table.

mod options;
mod red;
mod services;
mod traffic;

use std::{
    error::Error,
    io::{self, Write},
    process::ExitCode,
};

use tokio::{runtime::Runtime, signal};
use tower_otel_init::{LogFormat, Sampler, Telemetry, TracesExporter};
use tower_otel_prometheus::Prometheus;

use options::Options;
use services::Services;

type BoxError = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let options = match Options::read(std::env::args_os().skip(1)) {
        Ok(options) => options,
        Err(wrong) => {
            eprintln!("quickstart: {wrong}\n\n{}", options::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has read enough.
        Err(error) if broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), BoxError> {
    match options {
        Options::Help => print(options::USAGE),
        Options::Run { port, once } => Runtime::new()?.block_on(story(port, once)),
    }
}

async fn story(port: u16, once: bool) -> Result<(), BoxError> {
    let telemetry = Telemetry::builder("quickstart")
        .traces(TracesExporter::Console)
        .sampler(Sampler::ParentBasedAlwaysOn)
        .prometheus(Prometheus::builder().native_histograms())
        .log_format(LogFormat::Pretty)
        .install()?;
    let prometheus = telemetry.prometheus().ok_or("there is no recorder")?;
    let services = Services::start(port, prometheus).await?;
    print(&format!("{}\n", services.describe()))?;

    // The trace of the last request is printed meanwhile: it asks for that, and the others do not.
    let sent = traffic::drive(&services).await?;
    print(&format!(
        "{sent} requests sent: most are fine; among them are a 404, a 502, a path that does not\n\
         exist, a slow stream, a client that left before the answer and one that left in it.\n"
    ))?;

    let metrics = reqwest::get(services.shop("/metrics"))
        .await?
        .text()
        .await?;
    print(&format!("\n{}", red::tables(&metrics)))?;

    if !once {
        print(&services.invite())?;
        signal::ctrl_c().await?;
    }
    Ok(())
}

/// `println!` would panic where nobody reads any more.
fn print(text: &str) -> Result<(), BoxError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

fn broken_pipe(error: &BoxError) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
