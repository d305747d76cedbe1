//! Malformed requests: the server responds as without the layers, and telemetry is correct or
//! omitted.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod case;
mod forwarded;
mod hosts;
mod methods;
mod rejected;
mod secrets;
mod servers;
mod spans;
mod targets;
mod trace_headers;
mod user_agents;
mod without_exporter;
