//! The suite in a minute: a shop that asks a stock, a few dozen requests through both, one of
//! their traces as a tree and all of them as a RED table.

mod options;
mod red;
mod services;
mod show;
mod telemetry;
mod traffic;
mod tree;

use std::{
    error::Error,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};

use tokio::{runtime::Runtime, signal, time};

use options::Options;
use services::Services;
use show::Style;
use telemetry::Telemetry;

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
    let style = Style::for_terminal(io::stdout().is_terminal());
    let telemetry = Telemetry::start()?;
    let services = Services::start(port, &telemetry).await?;
    print(&services.describe(style))?;

    let sent = traffic::drive(&services).await?;
    print(&format!(
        "\n{sent} requests sent: most are fine; among them are a 404, a 502, a path that does not\n\
         exist, a slow stream, a client that left before the answer and one that left in it.\n"
    ))?;

    let trace = time::timeout(Duration::from_secs(10), telemetry.spans.await_order()).await;
    let trace = trace.map_err(|_| "no order left a whole trace")?;
    print(&format!(
        "\n{}",
        tree::draw(&trace, &services.names(), style)
    ))?;

    let metrics = reqwest::get(services.shop("/metrics"))
        .await?
        .text()
        .await?;
    print(&format!("\n{}", red::tables(&metrics, style)))?;

    if !once {
        print(&services.invite(style))?;
        signal::ctrl_c().await?;
    }
    telemetry.stop()?;
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
