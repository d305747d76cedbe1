//! Configuration from environment variables.

use std::{fmt, net::SocketAddr, time::Duration};

use reqwest::Url;

use crate::BoxError;

/// Reads variables. An empty variable counts as unset.
pub(crate) struct Variables(Read);

type Read = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A variable with an invalid value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidVariable {
    variable: &'static str,
    /// The problem, without secrets.
    problem: String,
    expected: &'static str,
}

/// A text that `Debug` does not show.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Variables {
    pub(crate) fn from_env() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    pub(crate) fn new(read: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Box::new(read))
    }

    fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    }

    fn text(&self, name: &'static str, default: &str) -> String {
        self.get(name).unwrap_or_else(|| default.to_owned())
    }

    /// Returns the address to listen on, as `host:port`. Port 0 selects a free port.
    pub(crate) fn listen_addr(&self, default: &str) -> String {
        self.text("LISTEN_ADDR", default)
    }

    /// Returns the address of the operational routes, as `host:port`.
    pub(crate) fn operations_addr(&self) -> Option<String> {
        self.get("OPERATIONS_ADDR")
    }

    /// Returns the address of the control service of telemetry. The service has no authentication, so only a loopback address
    /// is accepted.
    pub(crate) fn control_addr(&self) -> Result<Option<SocketAddr>, InvalidVariable> {
        let Some(value) = self.get("CONTROL_ADDR") else {
            return Ok(None);
        };
        let address = value.parse().ok();
        let is_loopback = |address: &SocketAddr| address.ip().is_loopback();
        address
            .filter(is_loopback)
            .map(Some)
            .ok_or_else(|| InvalidVariable {
                variable: "CONTROL_ADDR",
                problem: format!("\"{value}\" is not a loopback address"),
                expected: "a loopback address with a port, such as 127.0.0.1:9901",
            })
    }

    /// Returns the URL of the database.
    pub(crate) fn database_url(&self) -> Result<String, InvalidVariable> {
        let url = self.text("DATABASE_URL", "sqlite://property-management.db");
        if ["sqlite:", "postgres:", "postgresql:"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            return Ok(url);
        }
        let scheme = url.split(':').next().unwrap_or_default();
        Err(InvalidVariable {
            variable: "DATABASE_URL",
            // The other parts can contain a password.
            problem: format!("\"{scheme}:..\" is not a supported database"),
            expected: "sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE",
        })
    }

    /// Returns the URL of another service.
    pub(crate) fn url(&self, name: &'static str, default: &str) -> Result<Url, InvalidVariable> {
        let value = self.text(name, default);
        let url = Url::parse(&value).ok();
        url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or(InvalidVariable {
                variable: name,
                problem: format!("\"{value}\" is not a URL"),
                expected: "an absolute URL, http:// or https://",
            })
    }

    /// Returns the key that signs tokens. It has no default, because a default would be public.
    pub(crate) fn jwt_secret(&self) -> Result<Secret, InvalidVariable> {
        let name = "JWT_SECRET";
        let value = self.get(name);
        let invalid = |problem: String| InvalidVariable {
            variable: name,
            problem,
            expected: "at least 32 bytes, the same for api-server and reality-server",
        };
        match value {
            None => Err(invalid("is not set".to_owned())),
            Some(short) if short.len() < 32 => {
                Err(invalid(format!("{} bytes are too few", short.len())))
            }
            Some(secret) => Ok(Secret(secret)),
        }
    }

    /// Returns a positive number.
    pub(crate) fn number(&self, name: &'static str, default: u32) -> Result<u32, InvalidVariable> {
        let value = self.text(name, &default.to_string());
        let number = value.parse().ok().filter(|number| *number > 0);
        number.ok_or(InvalidVariable {
            variable: name,
            problem: format!("\"{value}\" is not a positive number"),
            expected: "a whole number greater than 0",
        })
    }

    /// Returns the model provider: base URL, key, model, and the time limit of a call. The variable of the time limit is in
    /// milliseconds.
    pub(crate) fn llm(&self) -> Result<Llm, InvalidVariable> {
        let millis = self.number("LLM_TIMEOUT", 10_000)?;
        Ok(Llm {
            base: self.url("LLM_BASE_URL", "http://127.0.0.1:8083/v1")?,
            key: self.get("LLM_API_KEY").map(Secret),
            model: self.text("LLM_MODEL", "gpt-4o-mini"),
            timeout: Duration::from_millis(u64::from(millis)),
        })
    }
}

/// The configuration of the model provider.
#[derive(Clone)]
pub(crate) struct Llm {
    pub(crate) base: Url,
    pub(crate) key: Option<Secret>,
    pub(crate) model: String,
    pub(crate) timeout: Duration,
}

impl Secret {
    /// Generates a random secret.
    pub(crate) fn random() -> Result<Self, BoxError> {
        let mut bytes = [0; 32];
        aws_lc_rs::rand::fill(&mut bytes)?;
        Ok(Self(
            bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        ))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Display for InvalidVariable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            variable,
            problem,
            expected,
        } = self;
        write!(f, "{variable}: {problem} (expected {expected})")
    }
}

impl std::error::Error for InvalidVariable {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn variables(values: &'static [(&'static str, &'static str)]) -> Variables {
        Variables::new(move |name| {
            let found = values.iter().find(|(key, _)| *key == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn defaults_use_loopback_and_have_no_jwt_secret() {
        let none = variables(&[]);
        assert_eq!(none.listen_addr("127.0.0.1:8080"), "127.0.0.1:8080");
        assert!(none.database_url().unwrap().starts_with("sqlite://"));
        assert_eq!(none.llm().unwrap().base.host_str(), Some("127.0.0.1"));
        let error = none.jwt_secret().err().unwrap().to_string();
        assert!(error.contains("JWT_SECRET: is not set"), "{error}");
    }

    #[test]
    fn errors_name_the_variable_and_show_no_secret() {
        let invalid = variables(&[
            ("DATABASE_URL", "mysql://me:s3cr3t@host/db"),
            ("JWT_SECRET", "s3cr3t"),
            ("LLM_TIMEOUT", "soon"),
            ("CONTROL_ADDR", "0.0.0.0:9901"),
            ("REALITY_URL", "somewhere"),
        ]);
        for (error, message) in [
            (
                invalid.database_url().err(),
                "DATABASE_URL: \"mysql:..\" is",
            ),
            (invalid.jwt_secret().err(), "JWT_SECRET: 6 bytes are"),
            (invalid.llm().err(), "LLM_TIMEOUT: \"soon\" is"),
            (
                invalid.control_addr().err(),
                "CONTROL_ADDR: \"0.0.0.0:9901\" is not a loopback",
            ),
            (invalid.url("REALITY_URL", "").err(), "REALITY_URL: \"some"),
        ] {
            let error = error.unwrap().to_string();
            assert!(
                error.contains(message) && error.contains("(expected "),
                "{error}"
            );
            assert!(!error.contains("s3cr3t"), "{error}");
        }
    }
}
