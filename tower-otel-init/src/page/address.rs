//! `TELEMETRY_PAGE` and `TELEMETRY_PAGE_REMOTE`: the address of the page, and whether other machines may read it.

use std::net::{Ipv4Addr, SocketAddr};

use crate::env::Env;
use crate::error::InitError;
use crate::options::{ChoiceSetting, Flag};
use crate::settings::Settings;
use crate::variable::variable;

const VARIABLE: &str = "TELEMETRY_PAGE";
const REMOTE: &str = "TELEMETRY_PAGE_REMOTE";

const INVALID: &str = "is not an address of the page (expected an IP address and a port, such as 127.0.0.1:4319, \
                       or localhost:4319; port 0 is a free one; or service, for a page that the application mounts)";

/// The value of `TELEMETRY_PAGE` for a page without an address.
const SERVICE: &str = "service";
const NOT_LOOPBACK: &str = "is not a loopback address (expected such as 127.0.0.1:4319; to show the page, which has no \
                            authentication, to other machines, set TELEMETRY_PAGE_REMOTE=true)";

/// The address of the page, and whether other machines may read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PageAddress {
    /// `None` if the application mounts the page.
    pub(crate) address: Option<SocketAddr>,
    /// Whether other machines may read the page.
    pub(crate) is_remote: bool,
}

/// Returns the address of the page. Returns `None` without a page.
pub(crate) fn resolve(
    settings: &Settings,
    env: &Env<'_>,
) -> Result<Option<PageAddress>, InitError> {
    let remote = variable(REMOTE, Flag::parse_ignoring_case, Flag::INVALID, env)?;
    let is_remote = remote == Some(Flag::True);
    let (name, address) = match settings.page {
        Some(address) => ("page", Some(Some(address))),
        None => (VARIABLE, variable(VARIABLE, parse, INVALID, env)?),
    };
    let Some(address) = address else {
        return Ok(None);
    };
    if !cfg!(feature = "page") {
        return Err(InitError::missing_feature(VARIABLE, "page"));
    }
    if let Some(address) = address
        && !address.ip().is_loopback()
        && !is_remote
    {
        return Err(InitError::invalid_value(
            name,
            &address.to_string(),
            NOT_LOOPBACK,
        ));
    }
    Ok(Some(PageAddress { address, is_remote }))
}

/// Parses a value of `TELEMETRY_PAGE`. Returns `Some(None)` for a page without an address.
fn parse(text: &str) -> Option<Option<SocketAddr>> {
    if text == SERVICE {
        return Some(None);
    }
    match text.strip_prefix("localhost:") {
        Some(port) => Some(Some((Ipv4Addr::LOCALHOST, port.parse().ok()?).into())),
        None => text.parse().ok().map(Some),
    }
}

#[cfg(all(test, feature = "page"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn resolved(variables: &[(&str, &str)], code: Option<&str>) -> Result<String, String> {
        let lookup = |name: &str| {
            let variable = variables.iter().find(|(own, _)| *own == name);
            variable.map(|(_, value)| (*value).to_owned())
        };
        let settings = Settings {
            page: code.map(|address| address.parse().unwrap()),
            ..Settings::default()
        };
        match resolve(&settings, &Env::new(&lookup)) {
            Ok(None) => Ok("none".to_owned()),
            Ok(Some(page)) => Ok(page
                .address
                .map_or("service".to_owned(), |at| at.to_string())),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_page_is_off_unless_an_address_is_set_and_code_takes_precedence() {
        for (variable, code, expected) in [
            ("", None, "none"),
            ("127.0.0.1:4319", None, "127.0.0.1:4319"),
            ("localhost:0", None, "127.0.0.1:0"),
            ("[::1]:4319", None, "[::1]:4319"),
            ("service", None, "service"),
            ("service", Some("127.0.0.2:2"), "127.0.0.2:2"),
            ("127.0.0.1:1", Some("127.0.0.2:2"), "127.0.0.2:2"),
        ] {
            let found = resolved(&[(VARIABLE, variable)], code);
            assert_eq!(found.as_deref(), Ok(expected), "{variable}");
        }
    }

    #[test]
    fn other_addresses_than_loopback_are_refused_unless_remote_readers_are_allowed() {
        for address in ["0.0.0.0:4319", "192.168.1.7:4319", "[::]:4319"] {
            for (variable, code) in [(address, None), ("", Some(address))] {
                let error = resolved(&[(VARIABLE, variable)], code).unwrap_err();
                assert!(error.contains(address), "{error}");
                assert!(error.contains("TELEMETRY_PAGE_REMOTE=true"), "{error}");
                let variables = [(VARIABLE, variable), (REMOTE, "true")];
                assert_eq!(resolved(&variables, code).as_deref(), Ok(address));
            }
        }
    }

    #[test]
    fn an_invalid_value_is_an_error_that_names_the_variable_and_what_is_accepted() {
        for (name, value) in [
            (VARIABLE, "4319"),
            (VARIABLE, "example.com:80"),
            (VARIABLE, "localhost:99999"),
            (VARIABLE, "Service"),
            (REMOTE, "yes"),
        ] {
            let error = resolved(&[(name, value)], None).unwrap_err();
            assert!(error.contains(name) && error.contains(value), "{error}");
            assert!(error.contains("expected"), "{error}");
        }
    }
}
