//! Properties. One that belongs to somebody else does not exist.

use axum::{
    extract::{Path, State},
    http::StatusCode,
};

use super::{App, notifications::Event};
use crate::{
    auth::SignedIn,
    db::{Draft, Property},
    extract::Json,
    problem::Problem,
};

impl Draft {
    fn checked(self) -> Result<Self, Problem> {
        let is_text = |text: &str| !text.trim().is_empty() && text.len() <= 200;
        match is_text(&self.title) && is_text(&self.city) && self.rent_cents > 0 {
            true => Ok(self),
            false => Err(Problem::invalid(
                "title and city have 1 to 200 bytes, rent_cents is more than 0",
            )),
        }
    }
}

pub(super) fn missing() -> Problem {
    Problem::not_found("property")
}

pub(super) async fn list(
    State(app): State<App>,
    own: SignedIn,
) -> Result<Json<Vec<Property>>, Problem> {
    Ok(Json(app.database.properties(&own.user).await?))
}

pub(super) async fn add(
    State(app): State<App>,
    own: SignedIn,
    Json(draft): Json<Draft>,
) -> Result<(StatusCode, Json<Property>), Problem> {
    let property = app
        .database
        .add_property(&own.user, draft.checked()?)
        .await?;
    app.notifications
        .tell(&own.user, Event::Added, &property.id);
    Ok((StatusCode::CREATED, Json(property)))
}

pub(super) async fn one(
    State(app): State<App>,
    own: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<Property>, Problem> {
    let property = app.database.property(&own.user, &id).await?;
    Ok(Json(property.ok_or_else(missing)?))
}

pub(super) async fn change(
    State(app): State<App>,
    own: SignedIn,
    Path(id): Path<String>,
    Json(draft): Json<Draft>,
) -> Result<Json<Property>, Problem> {
    let draft = draft.checked()?;
    let property = app.database.change_property(&own.user, &id, draft).await?;
    let property = property.ok_or_else(missing)?;
    app.notifications.tell(&own.user, Event::Changed, &id);
    Ok(Json(property))
}

pub(super) async fn remove(
    State(app): State<App>,
    own: SignedIn,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    if !app.database.remove_property(&own.user, &id).await? {
        return Err(missing());
    }
    app.database.withdraw_listing(&id).await?;
    app.notifications.tell(&own.user, Event::Removed, &id);
    Ok(StatusCode::NO_CONTENT)
}
