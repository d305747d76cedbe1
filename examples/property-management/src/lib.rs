//! A property-management system of three processes that uses `tower-otel` with a database, a
//! language model, a queue, a WebSocket and a public endpoint.
//!
//! The README of this example describes how to run it.
//!
//! | module | contents |
//! |---|---|
//! | `config` | environment variables and their errors |
//! | `control` | the service that changes telemetry settings while a process runs |
//! | `process` | start and stop of a process: telemetry, listening, SIGTERM, delivery |
//! | `layers` | the layers of servers and clients; which remote parents are trusted |
//! | `instruments`, `series` | metrics in addition to the metrics of the layers |
//! | `problem`, `extract` | errors as `application/problem+json` |
//! | `auth` | passwords, tokens, the authenticated user |
//! | `db` | the pool, queries with telemetry, one repository for each table, the queue |
//! | `model` | the language model: the call, its retries, its wire format |
//! | `api`, `reality`, `jobs` | the three processes |
//! | `stand_in` | a fake model provider with configurable faults |
//! | `launcher` | the whole system in one process |
//! | `load` | the load test: with and without telemetry, side by side |
//! | `traffic` | customers that use all routes |

mod api;
mod auth;
mod config;
mod control;
mod db;
mod extract;
mod instruments;
mod jobs;
mod launcher;
mod layers;
mod load;
mod model;
mod problem;
mod process;
mod reality;
mod series;
mod stand_in;
mod traffic;

pub use api::api_server;
pub use jobs::jobs;
pub use launcher::launch;
pub use reality::reality_server;
pub use stand_in::model_stand_in;
pub use traffic::traffic;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
