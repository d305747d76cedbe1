//! `/properties`. The response for a property of another user is 404.

use axum::{
    extract::{Path, State},
    http::StatusCode,
};

use super::{App, notifications::Event};
use crate::{
    auth::AuthenticatedUser,
    db::{Draft, Property},
    extract::Json,
    problem::Problem,
};

impl Draft {
    fn validate(self) -> Result<Self, Problem> {
        let is_text = |text: &str| !text.trim().is_empty() && text.len() <= 200;
        match is_text(&self.title) && is_text(&self.city) && self.rent_cents > 0 {
            true => Ok(self),
            false => Err(Problem::invalid(
                "title and city must have 1 to 200 bytes, rent_cents must be greater than 0",
            )),
        }
    }
}

pub(super) fn property_not_found() -> Problem {
    Problem::not_found("property")
}

pub(super) async fn list(
    State(app): State<App>,
    user: AuthenticatedUser,
) -> Result<Json<Vec<Property>>, Problem> {
    Ok(Json(app.database.properties(&user.id).await?))
}

pub(super) async fn add(
    State(app): State<App>,
    user: AuthenticatedUser,
    Json(draft): Json<Draft>,
) -> Result<(StatusCode, Json<Property>), Problem> {
    let property = app
        .database
        .add_property(&user.id, draft.validate()?)
        .await?;
    app.notifications.send(&user.id, Event::Added, &property.id);
    Ok((StatusCode::CREATED, Json(property)))
}

pub(super) async fn get(
    State(app): State<App>,
    user: AuthenticatedUser,
    Path(id): Path<String>,
) -> Result<Json<Property>, Problem> {
    let property = app.database.property(&user.id, &id).await?;
    Ok(Json(property.ok_or_else(property_not_found)?))
}

pub(super) async fn change(
    State(app): State<App>,
    user: AuthenticatedUser,
    Path(id): Path<String>,
    Json(draft): Json<Draft>,
) -> Result<Json<Property>, Problem> {
    let draft = draft.validate()?;
    let property = app.database.change_property(&user.id, &id, draft).await?;
    let property = property.ok_or_else(property_not_found)?;
    app.notifications.send(&user.id, Event::Changed, &id);
    Ok(Json(property))
}

pub(super) async fn remove(
    State(app): State<App>,
    user: AuthenticatedUser,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    if !app.database.remove_property(&user.id, &id).await? {
        return Err(property_not_found());
    }
    app.database.withdraw_listing(&id).await?;
    app.notifications.send(&user.id, Event::Removed, &id);
    Ok(StatusCode::NO_CONTENT)
}
