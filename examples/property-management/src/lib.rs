//! A property-management system of three processes, observed end to end: what `tower-otel` looks
//! like where there is a database, a language model, a queue, a WebSocket and a public endpoint.
//!
//! The README of this example says how to run it. Each module is one idea:
//!
//! | module | what |
//! |---|---|
//! | `config` | variables of the environment, and clear errors about them |
//! | `process` | the life of a process: telemetry, listening, SIGTERM, delivery |
//! | `observed` | the layers around a server and around a client, and whose trace is continued |
//! | `instruments`, `metrics` | what is counted beside requests |
//! | `problem`, `extract` | errors as `application/problem+json` |
//! | `auth` | passwords, tokens, who is asking |
//! | `db` | the pool, the observed query, one repository for each table, the queue |
//! | `model` | the language model: the call, its retries, its wire format |
//! | `api`, `reality`, `jobs` | the three processes |
//! | `stand_in` | a model provider for those who have none, with faults on request |
//! | `launcher` | all of it in one process, for a look |
//! | `traffic` | somebody who uses it all |

mod api;
mod auth;
mod config;
mod db;
mod extract;
mod instruments;
mod jobs;
mod launcher;
mod metrics;
mod model;
mod observed;
mod problem;
mod process;
mod reality;
mod stand_in;
mod traffic;

pub use api::api_server;
pub use jobs::jobs;
pub use launcher::launch;
pub use reality::reality_server;
pub use stand_in::model_stand_in;
pub use traffic::traffic;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
