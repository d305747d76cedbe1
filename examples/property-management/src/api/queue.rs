//! Routes that queue a job, and the state of a job.

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{App, notifications::Event, properties::property_not_found};
use crate::{
    auth::AuthenticatedUser,
    extract::Json,
    jobs::{PUBLISH_LISTING, STATEMENT},
    problem::Problem,
};

pub(super) async fn publish(
    State(app): State<App>,
    user: AuthenticatedUser,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    queue(&app, user, &id, PUBLISH_LISTING).await
}

pub(super) async fn statement(
    State(app): State<App>,
    user: AuthenticatedUser,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    queue(&app, user, &id, STATEMENT).await
}

/// Queues a job and returns its id. The document of a statement has the same id.
async fn queue(
    app: &App,
    user: AuthenticatedUser,
    property: &str,
    kind: &'static str,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let existing = app.database.property(&user.id, property).await?;
    existing.ok_or_else(property_not_found)?;
    let job = app.database.add_job(kind, &user.id, property).await?;
    app.notifications.send(&user.id, Event::Queued, property);
    Ok((StatusCode::ACCEPTED, Json(json!({ "job": job }))))
}

pub(super) async fn job(
    State(app): State<App>,
    user: AuthenticatedUser,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let job = app.database.job(&user.id, &id).await?;
    let (kind, state) = job.ok_or_else(|| Problem::not_found("job"))?;
    Ok(Json(json!({ "kind": kind, "state": state })))
}
