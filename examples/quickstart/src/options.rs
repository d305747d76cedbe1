//! The command line.

use std::ffi::OsString;

pub(crate) const USAGE: &str = "\
Usage: quickstart [--once] [--port PORT]

  --once       exit after the report; without it the services run until Ctrl-C
  --port PORT  the port of the shop on 127.0.0.1; a free one by default
  --help       show this
";

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Options {
    Help,
    Run {
        /// 0 for any.
        port: u16,
        once: bool,
    },
}

impl Options {
    pub(crate) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let (mut port, mut once) = (0, false);
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            match arg.to_string_lossy().as_ref() {
                "--help" | "-h" => return Ok(Self::Help),
                "--once" => once = true,
                "--port" => port = number(args.next())?,
                other => match other.strip_prefix("--port=") {
                    Some(value) => port = number(Some(value.into()))?,
                    None => {
                        return Err(format!(
                            "unknown option `{other}`; there are --once, --port and --help"
                        ));
                    }
                },
            }
        }
        Ok(Self::Run { port, once })
    }
}

fn number(value: Option<OsString>) -> Result<u16, String> {
    let value = value.ok_or("--port needs a number between 0 and 65535")?;
    let value = value.to_string_lossy();
    value
        .parse()
        .map_err(|_| format!("--port needs a number between 0 and 65535, not `{value}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Options, String> {
        Options::read(args.iter().map(OsString::from))
    }

    #[test]
    fn options_are_taken_in_any_order() {
        let run = |port, once| Ok(Options::Run { port, once });
        assert_eq!(read(&[]), run(0, false));
        assert_eq!(read(&["--once"]), run(0, true));
        assert_eq!(read(&["--port", "8080", "--once"]), run(8080, true));
        assert_eq!(read(&["--once", "--port=8080"]), run(8080, true));
        assert_eq!(read(&["--once", "--help"]), Ok(Options::Help));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (args, named) in [
            (&["--onec"][..], "`--onec`; there are --once, --port"),
            (&["shop"], "`shop`"),
            (&["--port"], "needs a number"),
            (&["--port", "70000"], "not `70000`"),
            (&["--port="], "not ``"),
        ] {
            let error = read(args).err().unwrap_or_default();
            assert!(error.contains(named), "{args:?}: {error}");
        }
    }
}
