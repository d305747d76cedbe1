//! Where a collector is and how it is spoken to: the `OTEL_EXPORTER_OTLP_*` variables.

use std::time::Duration;

use crate::env::{Env, pairs};
use crate::options::{Compression, Protocol};
use crate::{InitError, Settings};

/// One signal's way to its collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Otlp {
    pub(crate) protocol: Protocol,
    /// With its path, for HTTP.
    pub(crate) endpoint: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    /// The authorities to believe in place of the platform's, as PEM.
    pub(crate) certificate: Option<Vec<u8>>,
}

/// The signals, as they are called in variables and in paths.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Traces => ("TRACES", "traces"),
            Self::Metrics => ("METRICS", "metrics"),
            Self::Logs => ("LOGS", "logs"),
        }
    }
}

const TIMEOUT: u64 = 10_000;
const URL: &str = "a URL that begins with http:// or https:// and names a host";

impl Otlp {
    pub(crate) fn resolve(
        signal: Signal,
        settings: &Settings,
        env: &mut Env<'_>,
    ) -> Result<Self, InitError> {
        let (upper, lower) = signal.words();
        let own = |what: &str| format!("OTEL_EXPORTER_OTLP_{upper}_{what}");
        let common = |what: &str| format!("OTEL_EXPORTER_OTLP_{what}");

        let default = if cfg!(feature = "grpc") || !cfg!(feature = "http") {
            Protocol::Grpc
        } else {
            Protocol::HttpProtobuf
        };
        let protocol = match settings.protocol {
            Some(protocol) => protocol,
            None => env.first(
                &[&own("PROTOCOL"), &common("PROTOCOL")],
                Protocol::parse,
                Protocol::ACCEPTED,
                default,
            ),
        };

        let base = match protocol {
            Protocol::Grpc => "http://localhost:4317",
            Protocol::HttpProtobuf => "http://localhost:4318",
        };
        let below = |base: &str| match protocol {
            Protocol::Grpc => base.to_owned(),
            Protocol::HttpProtobuf => format!("{}/v1/{lower}", base.trim_end_matches('/')),
        };
        let endpoint = match &settings.endpoint {
            Some(endpoint) if is_url(endpoint) => below(endpoint),
            Some(endpoint) => {
                return Err(InitError::Value {
                    name: "the OTLP endpoint".to_owned(),
                    value: endpoint.clone(),
                    accepted: URL.to_owned(),
                });
            }
            None => {
                let url = |text: &str| is_url(text).then(|| text.to_owned());
                let general = env.first(&[&common("ENDPOINT")], url, URL, base.to_owned());
                env.first(&[&own("ENDPOINT")], url, URL, below(&general))
            }
        };

        let millis = env.first(
            &[&own("TIMEOUT"), &common("TIMEOUT")],
            positive,
            "a whole number of milliseconds above 0",
            TIMEOUT,
        );
        let compression = env.first(
            &[&own("COMPRESSION"), &common("COMPRESSION")],
            Compression::parse,
            Compression::ACCEPTED,
            Compression::None,
        );
        let certificate = if endpoint.starts_with("https:") {
            certificate(&[&own("CERTIFICATE"), &common("CERTIFICATE")], env)
        } else {
            None
        };
        Ok(Self {
            protocol,
            endpoint,
            headers: headers(&[&own("HEADERS"), &common("HEADERS")], settings, env),
            timeout: settings.timeout.unwrap_or(Duration::from_millis(millis)),
            gzip: compression == Compression::Gzip,
            certificate,
        })
    }
}

/// Those of the environment, and over them those of the code. Values are secrets.
fn headers(names: &[&str], settings: &Settings, env: &mut Env<'_>) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    let given = names.iter().find_map(|name| Some((name, env.get(name)?)));
    if let Some((variable, list)) = given {
        for pair in pairs(&list) {
            match pair {
                Ok((name, value)) if is_header(&name, &value) => {
                    headers.push((name.to_ascii_lowercase(), value));
                }
                Ok((name, _)) | Err(name) => {
                    let reason = "accepted is name=value, percent-encoded";
                    env.warn(variable, &name, reason, "the other headers");
                }
            }
        }
    }
    for (name, value) in &settings.headers {
        let name = name.to_ascii_lowercase();
        headers.retain(|(given, _)| *given != name);
        headers.push((name, value.clone()));
    }
    headers
}

/// The first of these files that holds one, for a connection that needs it.
fn certificate(names: &[&str], env: &mut Env<'_>) -> Option<Vec<u8>> {
    let mut bad = Vec::new();
    let mut found = None;
    for name in names {
        let Some(path) = env.get(name) else {
            continue;
        };
        match pem(&path) {
            Ok(pem) => {
                found = Some((path, pem));
                break;
            }
            Err(reason) => bad.push((*name, path, reason)),
        }
    }
    let used = match &found {
        Some((path, _)) => path,
        None => "the platform's roots",
    };
    for (name, path, reason) in bad {
        env.warn(name, &path, reason, used);
    }
    found.map(|(_, pem)| pem)
}

fn pem(path: &str) -> Result<Vec<u8>, String> {
    const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    if pem.windows(BEGIN.len()).any(|part| part == BEGIN) {
        Ok(pem)
    } else {
        Err("accepted is a PEM file with a certificate".to_owned())
    }
}

pub(crate) fn is_header(name: &str, value: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty()
        && name.bytes().all(token)
        && !name.ends_with("-bin")
        && value.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

pub(crate) fn positive<T: std::str::FromStr + PartialOrd + From<u8>>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number| *number > T::from(0))
}

fn is_url(text: &str) -> bool {
    let Some(rest) = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"))
    else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    !host.is_empty()
        && !host.starts_with(':')
        && !text.contains(char::is_whitespace)
        && port(host).is_none_or(|port| port.parse::<u16>().is_ok())
}

fn port(host: &str) -> Option<&str> {
    match host.rsplit_once(']') {
        Some((_, rest)) => rest.strip_prefix(':'),
        None => host.split_once(':').map(|(_, port)| port),
    }
}
