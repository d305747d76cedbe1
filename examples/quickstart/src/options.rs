//! The command line.

use std::ffi::OsString;

pub(crate) const USAGE: &str = "\
Usage: quickstart [--once] [--port PORT]

  --once       exit after the report; without it the services run until Ctrl-C
  --port PORT  the port of the shop on 127.0.0.1; default: a free one
  --help       show this help
";

/// The parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Options {
    Help,
    Run {
        /// The port of the shop. 0 selects a free port.
        port: u16,
        once: bool,
    },
}

impl Options {
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let (mut port, mut once) = (0, false);
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.to_string_lossy().as_ref() {
                "--help" | "-h" => return Ok(Self::Help),
                "--once" => once = true,
                "--port" => port = parse_port(args.next())?,
                other => match other.strip_prefix("--port=") {
                    Some(value) => port = parse_port(Some(value.into()))?,
                    None => {
                        return Err(format!(
                            "unknown option `{other}` (expected --once, --port or --help)"
                        ));
                    }
                },
            }
        }
        Ok(Self::Run { port, once })
    }
}

fn parse_port(value: Option<OsString>) -> Result<u16, String> {
    let value = value.ok_or("--port: missing value (expected 0 to 65535)")?;
    let value = value.to_string_lossy();
    value
        .parse()
        .map_err(|_| format!("--port: `{value}` is not a port (expected 0 to 65535)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, String> {
        Options::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn options_are_accepted_in_any_order() {
        let run = |port, once| Ok(Options::Run { port, once });
        assert_eq!(parse(&[]), run(0, false));
        assert_eq!(parse(&["--once"]), run(0, true));
        assert_eq!(parse(&["--port", "8080", "--once"]), run(8080, true));
        assert_eq!(parse(&["--once", "--port=8080"]), run(8080, true));
        assert_eq!(parse(&["--once", "--help"]), Ok(Options::Help));
    }

    #[test]
    fn errors_name_the_wrong_argument() {
        for (args, message) in [
            (&["--onec"][..], "`--onec` (expected --once, --port"),
            (&["shop"], "`shop`"),
            (&["--port"], "missing value"),
            (&["--port", "70000"], "`70000` is not a port"),
            (&["--port="], "`` is not a port"),
        ] {
            let error = parse(args).err().unwrap_or_default();
            assert!(error.contains(message), "{args:?}: {error}");
        }
    }
}
