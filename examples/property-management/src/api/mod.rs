//! The api-server: the API for customers.

mod description;
mod documents;
mod login;
mod market;
mod notifications;
mod properties;
mod queue;

use std::{ops::Deref, process::ExitCode, sync::Arc};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    routing::{get, post},
};
use tokio::net::TcpListener;

use crate::{
    BoxError,
    auth::{Audience, Keys, PasswordHasher},
    config::{Llm, Secret, Variables},
    db::Database,
    layers,
    model::Model,
    process::{self, Process, Shutdown},
    series,
};
use market::Market;
use notifications::Notifications;

/// The maximum size of a request body.
const MAX_BODY_SIZE: usize = 16 * 1024;

/// The configuration of the api-server.
pub(crate) struct Config {
    pub(crate) database_url: String,
    pub(crate) reality: reqwest::Url,
    pub(crate) llm: Llm,
    pub(crate) jwt_secret: Secret,
}

/// The shared state of the handlers. Each request clones it several times.
#[derive(Clone)]
pub(crate) struct App(Arc<AppState>);

pub(crate) struct AppState {
    database: Database,
    keys: Keys,
    passwords: PasswordHasher,
    market: Market,
    model: Model,
    notifications: Notifications,
    shutdown: Shutdown,
}

impl Deref for App {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0
    }
}

impl FromRef<App> for Keys {
    fn from_ref(app: &App) -> Self {
        app.keys.clone()
    }
}

/// Runs the api-server, configured by the environment.
pub fn api_server() -> ExitCode {
    process::run("api-server", async |process| {
        let variables = Variables::from_env();
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
    series::register_api(&config.llm.model);
    let database = Database::open(&config.database_url)?;
    let keys = Keys::new(&config.jwt_secret);
    let layers = process.layers();
    let state = AppState {
        database: database.clone(),
        keys: keys.clone(),
        passwords: PasswordHasher::default(),
        market: Market::new(config.reality, keys.clone(), layers)?,
        model: Model::new(config.llm, layers)?,
        notifications: Notifications::default(),
        shutdown: process.shutdown.clone(),
    };
    let routes = Router::new()
        .route("/users", post(login::sign_up))
        .route("/login", post(login::login))
        .route("/properties", get(properties::list).post(properties::add))
        .route(
            "/properties/{id}",
            get(properties::get)
                .put(properties::change)
                .delete(properties::remove),
        )
        .route("/properties/{id}/description", post(description::describe))
        .route("/properties/{id}/comparables", get(market::comparables))
        .route("/properties/{id}/listing", post(queue::publish))
        .route("/properties/{id}/statements", post(queue::statement))
        .route("/jobs/{id}", get(queue::job))
        .route("/documents/{id}", get(documents::stream))
        .route("/notifications", get(notifications::open))
        .layer(DefaultBodyLimit::max(MAX_BODY_SIZE))
        .with_state(App(Arc::new(state)));
    let app = layers.server(routes, keys, Audience::Api);
    let operations = layers::operations(database.clone(), process);
    let server = process::serve_with_operations(listener, app, operations, process);
    let tables = database.prepare(&process.shutdown);
    tokio::join!(tables, server).1
}
