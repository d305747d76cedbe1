//! What takes longer than a customer waits: it is queued.

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde_json::{Value, json};

use super::{App, notifications::Event, properties::missing};
use crate::{
    auth::SignedIn,
    extract::Json,
    jobs::{PUBLISH_LISTING, STATEMENT},
    problem::Problem,
};

pub(super) async fn publish(
    State(app): State<App>,
    own: SignedIn,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    queue(&app, own, &id, PUBLISH_LISTING).await
}

pub(super) async fn statement(
    State(app): State<App>,
    own: SignedIn,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    queue(&app, own, &id, STATEMENT).await
}

/// Answers with the id of the job, which for a statement is that of the document as well.
async fn queue(
    app: &App,
    own: SignedIn,
    property: &str,
    kind: &'static str,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let found = app.database.property(&own.user, property).await?;
    found.ok_or_else(missing)?;
    let job = app.database.add_job(kind, &own.user, property).await?;
    app.notifications.tell(&own.user, Event::Queued, property);
    Ok((StatusCode::ACCEPTED, Json(json!({ "job": job }))))
}

pub(super) async fn job(
    State(app): State<App>,
    own: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let job = app.database.job(&own.user, &id).await?;
    let (kind, state) = job.ok_or_else(|| Problem::not_found("job"))?;
    Ok(Json(json!({ "kind": kind, "state": state })))
}
