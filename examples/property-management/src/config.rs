//! What the environment says.

use std::{fmt, time::Duration};

use reqwest::Url;

use crate::BoxError;

/// Reads variables; an empty one is as good as none.
pub(crate) struct Variables(Read);

type Read = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A variable that cannot be followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    variable: &'static str,
    /// Never of a secret.
    value: String,
    accepted: &'static str,
}

/// A text that shows itself to nobody.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Variables {
    pub(crate) fn of_process() -> Self {
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

    /// Where to listen, as `host:port`; port 0 for a free one.
    pub(crate) fn listen_addr(&self, default: &str) -> String {
        self.text("LISTEN_ADDR", default)
    }

    /// Which database.
    pub(crate) fn database_url(&self) -> Result<String, Wrong> {
        let url = self.text("DATABASE_URL", "sqlite://property-management.db");
        if ["sqlite:", "postgres:", "postgresql:"]
            .iter()
            .any(|scheme| url.starts_with(scheme))
        {
            return Ok(url);
        }
        let scheme = url.split(':').next().unwrap_or_default();
        Err(Wrong {
            variable: "DATABASE_URL",
            // The rest may hold a password.
            value: format!("{scheme}:.."),
            accepted: "sqlite://FILE or postgres://USER:PASSWORD@HOST/DATABASE",
        })
    }

    /// The address of another service.
    pub(crate) fn url(&self, name: &'static str, default: &str) -> Result<Url, Wrong> {
        let value = self.text(name, default);
        let url = Url::parse(&value).ok();
        url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or(Wrong {
                variable: name,
                value,
                accepted: "an absolute URL, http:// or https://",
            })
    }

    /// The key that tokens are signed with. There is no default: everybody would know it.
    pub(crate) fn jwt_secret(&self) -> Result<Secret, Wrong> {
        let name = "JWT_SECRET";
        let value = self.get(name);
        let wrong = |what: String| Wrong {
            variable: name,
            value: what,
            accepted: "at least 32 bytes, the same for all three processes",
        };
        match value {
            None => Err(wrong("unset".to_owned())),
            Some(short) if short.len() < 32 => Err(wrong(format!("{} bytes", short.len()))),
            Some(secret) => Ok(Secret(secret)),
        }
    }

    /// A number that is more than 0.
    pub(crate) fn number(&self, name: &'static str, default: u32) -> Result<u32, Wrong> {
        let value = self.text(name, &default.to_string());
        let number = value.parse().ok().filter(|number| *number > 0);
        number.ok_or(Wrong {
            variable: name,
            value,
            accepted: "a whole number, more than 0",
        })
    }

    /// The model provider: its base URL, key and model, and how long a call may take,
    /// in milliseconds.
    pub(crate) fn llm(&self) -> Result<Llm, Wrong> {
        let millis = self.number("LLM_TIMEOUT", 10_000)?;
        Ok(Llm {
            base: self.url("LLM_BASE_URL", "http://127.0.0.1:8083/v1")?,
            key: self.get("LLM_API_KEY").map(Secret),
            model: self.text("LLM_MODEL", "gpt-4o-mini"),
            timeout: Duration::from_millis(u64::from(millis)),
        })
    }
}

/// The model provider.
#[derive(Clone)]
pub(crate) struct Llm {
    pub(crate) base: Url,
    pub(crate) key: Option<Secret>,
    pub(crate) model: String,
    pub(crate) timeout: Duration,
}

impl Secret {
    /// One that nobody knows.
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

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            variable,
            value,
            accepted,
        } = self;
        write!(f, "{variable} is `{value}`; accepted is {accepted}")
    }
}

impl std::error::Error for Wrong {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn variables(own: &'static [(&'static str, &'static str)]) -> Variables {
        Variables::new(move |name| {
            let found = own.iter().find(|(key, _)| *key == name)?;
            Some(found.1.to_owned())
        })
    }

    #[test]
    fn without_variables_everything_is_on_loopback_and_nothing_is_signed() {
        let none = variables(&[]);
        assert_eq!(none.listen_addr("127.0.0.1:8080"), "127.0.0.1:8080");
        assert!(none.database_url().unwrap().starts_with("sqlite://"));
        assert_eq!(none.llm().unwrap().base.host_str(), Some("127.0.0.1"));
        let error = none.jwt_secret().err().unwrap().to_string();
        assert!(error.contains("JWT_SECRET is `unset`"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_shown() {
        let wrong = variables(&[
            ("DATABASE_URL", "mysql://me:s3cr3t@host/db"),
            ("JWT_SECRET", "s3cr3t"),
            ("LLM_TIMEOUT", "soon"),
            ("REALITY_URL", "somewhere"),
        ]);
        for (error, named) in [
            (wrong.database_url().err(), "DATABASE_URL is `mysql:..`"),
            (wrong.jwt_secret().err(), "JWT_SECRET is `6 bytes`"),
            (wrong.llm().err(), "LLM_TIMEOUT is `soon`"),
            (wrong.url("REALITY_URL", "").err(), "REALITY_URL is `some"),
        ] {
            let error = error.unwrap().to_string();
            assert!(
                error.contains(named) && error.contains("accepted is"),
                "{error}"
            );
            assert!(!error.contains("s3cr3t"), "{error}");
        }
    }
}
