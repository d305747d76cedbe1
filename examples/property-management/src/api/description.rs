//! `POST /properties/{id}/description`: a description by the language model.

use axum::extract::{Path, State};

use super::{App, notifications::Event, properties::property_not_found};
use crate::{
    auth::AuthenticatedUser,
    db::{Listing, Property},
    extract::Json,
    problem::Problem,
};

const SYSTEM_PROMPT: &str = "You write honest descriptions of homes for rent, in two sentences.";

pub(super) async fn describe(
    State(app): State<App>,
    user: AuthenticatedUser,
    Path(id): Path<String>,
) -> Result<Json<Property>, Problem> {
    let property = app.database.property(&user.id, &id).await?;
    let property = property.ok_or_else(property_not_found)?;
    let listings = app.market.listings(&property.draft.city).await?;
    let description = app
        .model
        .complete(SYSTEM_PROMPT, &prompt(&property, &listings))
        .await?;
    let property = app
        .database
        .describe_property(&user.id, &id, description)
        .await?;
    app.notifications.send(&user.id, Event::Described, &id);
    Ok(Json(property.ok_or_else(property_not_found)?))
}

fn prompt(property: &Property, listings: &[Listing]) -> String {
    let draft = &property.draft;
    let mut prompt = format!(
        "{} in {}, {} a month.",
        draft.title,
        draft.city,
        euros(draft.rent_cents)
    );
    for listing in listings {
        prompt += &format!(
            " Near by: {}, {}.",
            listing.title,
            euros(listing.rent_cents)
        );
    }
    prompt
}

fn euros(cents: i64) -> String {
    format!("{}.{:02} EUR", cents / 100, cents % 100)
}
