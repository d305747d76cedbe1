//! The reality-server: what is offered, for everybody to see. Strangers call it, and so does the
//! api-server; whose trace is continued is decided in [`observed`].

use std::process::ExitCode;

use axum::{
    Router,
    extract::{Path, State},
    routing::get,
};
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::{
    BoxError,
    auth::{Audience, Keys},
    config::{Secret, Variables},
    db::{Database, Listing, Search},
    extract::{Json, Query},
    observed,
    problem::Problem,
    process::{self, Process},
};

/// The most listings in an answer.
const MOST: u8 = 50;

/// Runs the reality-server, as the environment says.
pub fn reality_server() -> ExitCode {
    process::run("reality-server", async |process| {
        let variables = Variables::of_process();
        let database = Database::open(&variables.database_url()?)?;
        let secret = variables.jwt_secret()?;
        let address = variables.listen_addr("127.0.0.1:8081");
        serve(
            process::listen(&address).await?,
            database,
            &secret,
            &process,
        )
        .await
    })
}

pub(crate) async fn serve(
    listener: TcpListener,
    database: Database,
    secret: &Secret,
    process: &Process,
) -> Result<(), BoxError> {
    let routes = Router::new()
        .route("/listings", get(list))
        .route("/listings/{id}", get(one))
        .route("/search", get(search))
        .with_state(database.clone());
    let keys = Keys::new(secret);
    let app = observed::server(routes, keys, Audience::Reality, &database, process);
    let serving = process::serve(listener, app, &process.stop);
    let preparing = database.prepare(&process.stop);
    tokio::join!(preparing, serving).1
}

#[derive(Deserialize)]
struct Wanted {
    city: Option<String>,
    max_rent_cents: Option<i64>,
    limit: Option<u8>,
}

async fn list(
    State(database): State<Database>,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Vec<Listing>>, Problem> {
    let search = Search {
        city: wanted.city,
        max_rent_cents: wanted.max_rent_cents,
        words: None,
        limit: wanted.limit.unwrap_or(20).min(MOST),
    };
    Ok(Json(database.listings(search).await?))
}

#[derive(Deserialize)]
struct Words {
    q: String,
}

async fn search(
    State(database): State<Database>,
    Query(Words { q }): Query<Words>,
) -> Result<Json<Vec<Listing>>, Problem> {
    if q.trim().is_empty() || q.len() > 100 {
        return Err(Problem::invalid("q has 1 to 100 bytes"));
    }
    let search = Search {
        words: Some(q),
        limit: MOST,
        ..Search::default()
    };
    Ok(Json(database.listings(search).await?))
}

async fn one(
    State(database): State<Database>,
    Path(id): Path<String>,
) -> Result<Json<Listing>, Problem> {
    let listing = database.listing(&id).await?;
    Ok(Json(listing.ok_or_else(|| Problem::not_found("listing"))?))
}
