//! The reality-server: public listings and search. Unknown clients and the api-server call it.

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
    layers,
    problem::Problem,
    process::{self, Process},
};

/// The maximum number of listings in a response.
const MAX_LISTINGS: u8 = 50;

/// Runs the reality-server, configured by the environment.
pub fn reality_server() -> ExitCode {
    process::run("reality-server", async |process| {
        let variables = Variables::from_env();
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
        .route("/listings", get(get_listings))
        .route("/listings/{id}", get(get_listing))
        .route("/search", get(search))
        .with_state(database.clone());
    let keys = Keys::new(secret);
    let app = process.layers().server(routes, keys, Audience::Reality);
    let operations = layers::operations(database.clone(), process);
    let server = process::serve_with_operations(listener, app, operations, process);
    let tables = database.prepare(&process.shutdown);
    tokio::join!(tables, server).1
}

#[derive(Deserialize)]
struct ListingsQuery {
    city: Option<String>,
    max_rent_cents: Option<i64>,
    limit: Option<u8>,
}

async fn get_listings(
    State(database): State<Database>,
    Query(query): Query<ListingsQuery>,
) -> Result<Json<Vec<Listing>>, Problem> {
    let search = Search {
        city: query.city,
        max_rent_cents: query.max_rent_cents,
        words: None,
        limit: query.limit.unwrap_or(20).min(MAX_LISTINGS),
    };
    Ok(Json(database.listings(search).await?))
}

#[derive(Deserialize)]
struct SearchQuery {
    q: String,
}

async fn search(
    State(database): State<Database>,
    Query(SearchQuery { q }): Query<SearchQuery>,
) -> Result<Json<Vec<Listing>>, Problem> {
    if q.trim().is_empty() || q.len() > 100 {
        return Err(Problem::invalid("q must have 1 to 100 bytes"));
    }
    let search = Search {
        words: Some(q),
        limit: MAX_LISTINGS,
        ..Search::default()
    };
    Ok(Json(database.listings(search).await?))
}

async fn get_listing(
    State(database): State<Database>,
    Path(id): Path<String>,
) -> Result<Json<Listing>, Problem> {
    let listing = database.listing(&id).await?;
    Ok(Json(listing.ok_or_else(|| Problem::not_found("listing"))?))
}
