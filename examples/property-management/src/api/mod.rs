//! The api-server: what customers and their apps talk to.

mod description;
mod documents;
mod login;
mod market;
mod notifications;
mod properties;
mod work;

use std::process::ExitCode;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    routing::{get, post},
};
use tokio::net::TcpListener;

use crate::{
    BoxError,
    auth::{Audience, Keys, Passwords},
    config::{Llm, Secret, Variables},
    db::Database,
    metrics,
    model::Model,
    observed,
    process::{self, Process, Stop},
};
use market::Market;
use notifications::Notifications;

/// Nobody describes a property in more bytes.
const LONGEST_BODY: usize = 16 * 1024;

/// What the api-server is told.
pub(crate) struct Config {
    pub(crate) database_url: String,
    pub(crate) reality: reqwest::Url,
    pub(crate) llm: Llm,
    pub(crate) jwt_secret: Secret,
}

/// What the handlers share.
#[derive(Clone)]
pub(crate) struct App {
    database: Database,
    keys: Keys,
    passwords: Passwords,
    market: Market,
    model: Model,
    notifications: Notifications,
    stop: Stop,
}

impl FromRef<App> for Keys {
    fn from_ref(app: &App) -> Self {
        app.keys.clone()
    }
}

/// Runs the api-server, as the environment says.
pub fn api_server() -> ExitCode {
    process::run("api-server", async |process| {
        let variables = Variables::of_process();
        let config = Config {
            database_url: variables.database_url()?,
            reality: variables.url("REALITY_URL", "http://127.0.0.1:8081")?,
            llm: variables.llm()?,
            jwt_secret: variables.jwt_secret()?,
        };
        let address = variables.listen_addr("127.0.0.1:8080");
        serve(process::listen(&address).await?, config, &process).await
    })
}

pub(crate) async fn serve(
    listener: TcpListener,
    config: Config,
    process: &Process,
) -> Result<(), BoxError> {
    metrics::of_api(&config.llm.model);
    let database = Database::open(&config.database_url)?;
    let keys = Keys::new(&config.jwt_secret);
    let app = App {
        database: database.clone(),
        keys: keys.clone(),
        passwords: Passwords::default(),
        market: Market::new(config.reality, keys.clone())?,
        model: Model::new(config.llm)?,
        notifications: Notifications::default(),
        stop: process.stop.clone(),
    };
    let routes = Router::new()
        .route("/users", post(login::sign_up))
        .route("/login", post(login::login))
        .route("/properties", get(properties::list).post(properties::add))
        .route(
            "/properties/{id}",
            get(properties::one)
                .put(properties::change)
                .delete(properties::remove),
        )
        .route("/properties/{id}/description", post(description::describe))
        .route("/properties/{id}/comparables", get(market::comparables))
        .route("/properties/{id}/listing", post(work::publish))
        .route("/properties/{id}/statements", post(work::statement))
        .route("/jobs/{id}", get(work::job))
        .route("/documents/{id}", get(documents::stream))
        .route("/notifications", get(notifications::open))
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .with_state(app);
    let app = observed::server(routes, keys, Audience::Api, &database, process);
    let serving = process::serve(listener, app, &process.stop);
    let preparing = database.prepare(&process.stop);
    tokio::join!(preparing, serving).1
}
