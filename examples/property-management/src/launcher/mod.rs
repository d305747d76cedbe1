//! The whole system in one process, for a look: three services and a model provider on free ports
//! of loopback, a SQLite file in a temporary folder, customers, and what was seen of it all.

mod progress;
// The table of the quickstart, which is about nothing but the metrics of the layers.
#[allow(dead_code)]
#[path = "../../../quickstart/src/red.rs"]
mod red;
mod scene;
mod system;

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use tower_otel_init::{LogFormat, Sampler, Telemetry, TracesExporter};

use crate::{
    BoxError, instruments,
    process::{self, Process},
    traffic::{self, Pace},
};
use system::System;

const USAGE: &str = "\
Usage: property-management [--once] [--seconds N]

  --once       exit after the report; without it the services run until Ctrl-C
  --seconds N  how long customers use the system before the report; 10 by default
  --help       show this
";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    once: bool,
    seconds: u32,
}

/// Runs the whole system in one process, shows what can be seen of it, and serves until Ctrl-C.
pub fn launch() -> ExitCode {
    let options = match Options::read(std::env::args().skip(1)) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            eprintln!("property-management: {wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // Only a trace that begins outside as a recorded one is recorded here: ours, and not those of
    // some hundred customers.
    let telemetry = Telemetry::builder("property-management")
        .traces(TracesExporter::Console)
        .prometheus(instruments::recorder())
        .sampler(Sampler::ParentBasedAlwaysOff)
        .log_format(LogFormat::Pretty)
        .log_filter("error")
        .install();
    process::run_with("property-management", telemetry, async |process| {
        story(&options, &process).await
    })
}

async fn story(options: &Options, process: &Process) -> Result<(), BoxError> {
    let system = System::start(process).await?;
    say(&system.describe())?;
    let pace = Pace::new(60, Duration::from_secs(u64::from(options.seconds)));
    let (places, stop) = (system.places(), &process.stop);
    let driving = traffic::drive(&places, &pace, stop);
    let tally = progress::shown(&pace, driving).await?;
    say(&format!("{tally}\n"))?;
    if !stop.is_asked() {
        say("\n")?;
        scene::play(&places).await?;
        if let Some(prometheus) = &process.prometheus {
            say(&red::tables(&prometheus.render()))?;
        }
        if !options.once {
            say(&system.invite())?;
            stop.asked().await;
        }
    }
    system.stop(stop).await?;
    // Below the `^C` that a terminal shows.
    match stop.is_asked() {
        true => say("\nStopped, and removed the database.\n"),
        false => Ok(()),
    }
}

/// `println!` would panic where nobody reads any more.
fn say(text: &str) -> Result<(), BoxError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

impl Options {
    /// Nothing where help was asked for.
    fn read(args: impl IntoIterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            once: false,
            seconds: 10,
        };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match &*arg {
                "--help" | "-h" => return Ok(None),
                "--once" => options.once = true,
                "--seconds" => {
                    let value = args.next().unwrap_or_default();
                    let number = value.parse().ok().filter(|number| *number > 0);
                    options.seconds = number.ok_or_else(|| {
                        format!("--seconds is `{value}`; accepted is a number, more than 0")
                    })?;
                }
                other => {
                    return Err(format!(
                        "unknown option `{other}`; there are --once, --seconds and --help"
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

    fn read(args: &[&str]) -> Result<Option<Options>, String> {
        Options::read(args.iter().map(|arg| (*arg).to_owned()))
    }

    #[test]
    fn options_are_taken_in_any_order_and_wrong_ones_are_named() {
        let options = |once, seconds| Ok(Some(Options { once, seconds }));
        assert_eq!(read(&[]), options(false, 10));
        assert_eq!(read(&["--seconds", "3", "--once"]), options(true, 3));
        assert_eq!(read(&["--help"]), Ok(None));
        for (args, named) in [
            (&["--seconds", "soon"][..], "--seconds is `soon`"),
            (&["--seconds"], "--seconds is ``"),
            (&["--twice"], "unknown option `--twice`"),
        ] {
            let error = read(args).err().unwrap_or_default();
            assert!(error.contains(named), "{error}");
        }
    }
}
