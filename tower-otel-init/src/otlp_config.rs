//! The `OTEL_EXPORTER_OTLP_*` variables.
//!
//! <https://opentelemetry.io/docs/specs/otel/protocol/exporter/>

use std::fmt;
use std::time::Duration;

use crate::certificate;
use crate::endpoint::{INVALID_URL, is_url, origin, redact};
use crate::env::Env;
use crate::error::InitError;
use crate::options::{ChoiceSetting, Compression, Protocol};
use crate::otlp_headers;
use crate::settings::Settings;
use crate::userinfo;

/// The configuration of one signal's OTLP exporter.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OtlpConfig {
    pub(crate) protocol: Protocol,
    /// The URL without user and password. Over HTTP it includes the path of the signal.
    pub(crate) endpoint: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    /// Certificates that replace the root certificates of the platform, as PEM.
    pub(crate) certificate: Option<Vec<u8>>,
}

impl fmt::Debug for OtlpConfig {
    /// Omits credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpConfig")
            .field("protocol", &self.protocol)
            .field("endpoint", &redact(&self.endpoint))
            .field("timeout", &self.timeout)
            .field("gzip", &self.gzip)
            .finish_non_exhaustive()
    }
}

/// A telemetry signal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    /// Returns the name in variables and the name in paths.
    fn variable_and_path_name(self) -> (&'static str, &'static str) {
        match self {
            Self::Traces => ("TRACES", "traces"),
            Self::Metrics => ("METRICS", "metrics"),
            Self::Logs => ("LOGS", "logs"),
        }
    }
}

const DEFAULT_TIMEOUT_MILLIS: u64 = 10_000;

impl OtlpConfig {
    pub(crate) fn resolve(
        signal: Signal,
        settings: &Settings,
        env: &mut Env<'_>,
    ) -> Result<Self, InitError> {
        let (upper, _) = signal.variable_and_path_name();
        let own = |suffix: &str| format!("OTEL_EXPORTER_OTLP_{upper}_{suffix}");
        let common = |suffix: &str| format!("OTEL_EXPORTER_OTLP_{suffix}");

        let default = if cfg!(feature = "grpc") || !cfg!(feature = "http") {
            Protocol::Grpc
        } else {
            Protocol::HttpProtobuf
        };
        let protocol = match settings.protocol {
            Some(protocol) => protocol,
            None => env.first_choice(&[&own("PROTOCOL"), &common("PROTOCOL")], default),
        };
        let endpoint = endpoint(signal, protocol, settings, env)?;
        let timeout = env.first_millis(
            &[&own("TIMEOUT"), &common("TIMEOUT")],
            DEFAULT_TIMEOUT_MILLIS,
        );
        let compression = env.first_choice(
            &[&own("COMPRESSION"), &common("COMPRESSION")],
            Compression::None,
        );
        let certificate = if endpoint.starts_with("https:") {
            certificate::resolve(&[&own("CERTIFICATE"), &common("CERTIFICATE")], env)
        } else {
            None
        };
        let names = [own("HEADERS"), common("HEADERS")];
        let mut headers =
            otlp_headers::resolve(&names.each_ref().map(|name| &**name), settings, env);
        let (endpoint, authorization) = userinfo::split(&endpoint);
        if let Some(authorization) = authorization
            && !headers.iter().any(|(name, _)| name == "authorization")
        {
            headers.push(("authorization".to_owned(), authorization));
        }
        Ok(Self {
            protocol,
            endpoint,
            headers,
            timeout: settings.export_timeout.unwrap_or(timeout),
            gzip: compression == Compression::Gzip,
            certificate,
        })
    }
}

impl OtlpConfig {
    /// Returns an error if protocol or endpoint need a feature that is not enabled.
    pub(crate) fn check_features(&self) -> Result<(), InitError> {
        let has_protocol = match self.protocol {
            Protocol::Grpc => cfg!(feature = "grpc"),
            Protocol::HttpProtobuf => cfg!(feature = "http"),
        };
        if !has_protocol {
            return Err(self.missing_protocol());
        }
        if self.endpoint.starts_with("https:") && cfg!(not(feature = "tls")) {
            let endpoint = format!("the endpoint {}", origin(&self.endpoint));
            return Err(InitError::missing_feature(&endpoint, "tls"));
        }
        Ok(())
    }

    /// Returns the error of a protocol whose feature is not enabled.
    pub(crate) fn missing_protocol(&self) -> InitError {
        let protocol = format!("the protocol {}", self.protocol.as_str());
        let feature = match self.protocol {
            Protocol::Grpc => "grpc",
            Protocol::HttpProtobuf => "http",
        };
        InitError::missing_feature(&protocol, feature)
    }
}

/// Returns the URL set in code, else the signal's variable, else the common variable, else the default.
/// Over HTTP, the path of the signal is appended, except to the value of the signal's variable.
fn endpoint(
    signal: Signal,
    protocol: Protocol,
    settings: &Settings,
    env: &mut Env<'_>,
) -> Result<String, InitError> {
    let (upper, lower) = signal.variable_and_path_name();
    let with_path = |base: &str| match protocol {
        Protocol::Grpc => base.to_owned(),
        Protocol::HttpProtobuf => format!("{}/v1/{lower}", base.trim_end_matches('/')),
    };
    if let Some(endpoint) = &settings.endpoint {
        return if is_url(endpoint) {
            Ok(with_path(endpoint))
        } else {
            let value = redact(endpoint);
            Err(InitError::invalid_value("endpoint", &value, INVALID_URL))
        };
    }
    let default = match protocol {
        Protocol::Grpc => "http://localhost:4317",
        Protocol::HttpProtobuf => "http://localhost:4318",
    };
    let common = endpoint_variable("OTEL_EXPORTER_OTLP_ENDPOINT", default.to_owned(), env);
    let own = format!("OTEL_EXPORTER_OTLP_{upper}_ENDPOINT");
    Ok(endpoint_variable(&own, with_path(&common), env))
}

fn endpoint_variable(name: &str, default: String, env: &mut Env<'_>) -> String {
    match env.get(name) {
        Some(url) if is_url(&url) => url,
        Some(invalid) => {
            env.warn(name, &redact(&invalid), INVALID_URL, redact(&default));
            default
        }
        None => default,
    }
}
