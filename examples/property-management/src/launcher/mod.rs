//! The whole system in one process: three services and a fake model provider on free ports of
//! loopback, a SQLite file in a temporary folder, and customers. Prints a trace and the RED tables.

mod progress;
// The tables of the quickstart. They need only the metrics of the layers.
#[allow(dead_code)]
#[path = "../../../quickstart/src/red.rs"]
mod red;
mod system;
mod traced_customer;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use tower_otel_init::{Sampler, Telemetry, TracesExporter};

use crate::{
    BoxError, instruments,
    load::{self, Effort},
    process::{self, Process},
    traffic::{self, Pacer},
};
use system::System;

const USAGE: &str = "\
Usage: property-management [--once] [--seconds N]
       property-management load [--quick]

  --once       exit after the report; without it the services run until Ctrl-C
  --seconds N  customers send requests for N seconds before the report; default: 10
  load         the load test: latencies with and without telemetry; build it with --release
  --quick      a short load test, without a verdict
  --help       show this help
";

/// The parsed command line.
#[derive(Debug, PartialEq, Eq)]
enum Command {
    System(Options),
    Load(Effort),
    /// A service of the load test.
    Service(String),
}

#[derive(Debug, PartialEq, Eq)]
struct Options {
    once: bool,
    seconds: u32,
}

/// Runs the whole system in one process, prints a report, and serves until Ctrl-C.
pub fn launch() -> ExitCode {
    let options = match Command::parse(std::env::args().skip(1)) {
        Ok(Some(Command::System(options))) => options,
        Ok(Some(Command::Load(effort))) => return load::run(effort),
        Ok(Some(Command::Service(name))) => return load::run_service(&name),
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("property-management: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // Samples only traces with a sampled remote parent. Only `traced_customer` sends one.
    let telemetry = Telemetry::builder("property-management")
        .traces(TracesExporter::Console)
        .prometheus(instruments::recorder())
        .sampler(Sampler::always_off().parent_based())
        .pretty_logs(true)
        .log_filter("error")
        .install();
    process::run_with("property-management", telemetry, async |process| {
        run(&options, &process).await
    })
}

async fn run(options: &Options, process: &Process) -> Result<(), BoxError> {
    let system = System::start(process).await?;
    print(&system.summary())?;
    let pacer = Pacer::new(60, Duration::from_secs(u64::from(options.seconds)));
    let (urls, shutdown) = (system.urls(), &process.shutdown);
    let traffic = traffic::run_customers(&urls, &pacer, shutdown);
    let status_counts = progress::with_bar(&pacer, traffic).await?;
    print(&format!("{status_counts}\n"))?;
    if !shutdown.is_requested() {
        print("\n")?;
        traced_customer::run(&urls, process.layers()).await?;
        // Prints the trace before the tables.
        process.flush().await?;
        if let Some(prometheus) = process.prometheus() {
            print(&red::tables(&prometheus.render()))?;
        }
        if !options.once {
            print(&system.next_steps())?;
            shutdown.wait().await;
        }
    }
    system.stop(shutdown).await?;
    // The newline follows the `^C` of the terminal.
    match shutdown.is_requested() {
        true => print("\nStopped, and removed the database.\n"),
        false => Ok(()),
    }
}

/// Prints a text. Unlike `print!`, it does not panic if the pipe is closed.
fn print(text: &str) -> Result<(), BoxError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

impl Command {
    /// Returns `None` for `--help`.
    fn parse(args: impl IntoIterator<Item = String>) -> Result<Option<Self>, String> {
        let args: Vec<String> = args.into_iter().collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match *args {
            ["load"] => Ok(Some(Self::Load(Effort::FULL))),
            ["load", "--quick"] => Ok(Some(Self::Load(Effort::QUICK))),
            [load::RUN_FLAG, name] => Ok(Some(Self::Service(name.to_owned()))),
            _ => Ok(Options::parse(args)?.map(Self::System)),
        }
    }
}

impl Options {
    /// Returns `None` for `--help`.
    fn parse<'a>(args: impl IntoIterator<Item = &'a str>) -> Result<Option<Self>, String> {
        let mut options = Self {
            once: false,
            seconds: 10,
        };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg {
                "--help" | "-h" => return Ok(None),
                "--once" => options.once = true,
                "--seconds" => {
                    let value = args.next().unwrap_or_default();
                    let number = value.parse().ok().filter(|number| *number > 0);
                    options.seconds = number
                        .ok_or_else(|| format!("--seconds: `{value}` is not a positive number"))?;
                }
                other => {
                    return Err(format!(
                        "unknown option `{other}` (expected --once, --seconds, --help or load)"
                    ));
                }
            }
        }
        Ok(Some(options))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Option<Command>, String> {
        Command::parse(args.iter().map(|arg| (*arg).to_owned()))
    }

    #[test]
    fn options_are_accepted_in_any_order_and_errors_name_them() {
        let options = |once, seconds| Ok(Some(Command::System(Options { once, seconds })));
        assert_eq!(parse(&[]), options(false, 10));
        assert_eq!(parse(&["--seconds", "3", "--once"]), options(true, 3));
        assert_eq!(parse(&["--help"]), Ok(None));
        assert_eq!(parse(&["load"]), Ok(Some(Command::Load(Effort::FULL))));
        for (args, message) in [
            (&["--seconds", "soon"][..], "--seconds: `soon`"),
            (&["--seconds"], "--seconds: ``"),
            (&["--twice"], "unknown option `--twice`"),
        ] {
            let error = parse(args).err().unwrap_or_default();
            assert!(error.contains(message), "{error}");
        }
    }
}
