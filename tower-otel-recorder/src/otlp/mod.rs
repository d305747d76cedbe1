//! Exports records over OTLP, with gRPC or HTTP.

mod answer;
mod backoff;
mod base64;
mod batch;
mod client;
mod config;
mod delivery;
mod endpoint;
mod error_text;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(feature = "grpc")]
mod grpc_status;
#[cfg(feature = "http")]
mod http;
mod invalid;
#[cfg(feature = "http")]
mod json;
mod percent;
mod record_exporter;
mod runtime;
#[cfg(any(test, fuzzing))]
#[allow(unreachable_pub)]
pub mod sample;
mod secrets;
#[cfg(feature = "tls")]
mod tls;
mod userinfo;

pub use config::OtlpExporter;
