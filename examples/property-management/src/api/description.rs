//! A description, written by a model that has seen what others ask for.

use axum::extract::{Path, State};

use super::{App, notifications::Event, properties::missing};
use crate::{
    auth::SignedIn,
    db::{Listing, Property},
    extract::Json,
    problem::Problem,
};

const TASK: &str = "You write honest descriptions of homes for rent, in two sentences.";

pub(super) async fn describe(
    State(app): State<App>,
    own: SignedIn,
    Path(id): Path<String>,
) -> Result<Json<Property>, Problem> {
    let property = app.database.property(&own.user, &id).await?;
    let property = property.ok_or_else(missing)?;
    let others = app.market.listings(&property.draft.city).await?;
    let description = app.model.ask(TASK, &question(&property, &others)).await?;
    let property = app
        .database
        .describe_property(&own.user, &id, description)
        .await?;
    app.notifications.tell(&own.user, Event::Described, &id);
    Ok(Json(property.ok_or_else(missing)?))
}

fn question(property: &Property, others: &[Listing]) -> String {
    let draft = &property.draft;
    let mut question = format!(
        "{} in {}, {} a month.",
        draft.title,
        draft.city,
        euros(draft.rent_cents)
    );
    for other in others {
        question += &format!(" Near by: {}, {}.", other.title, euros(other.rent_cents));
    }
    question
}

fn euros(cents: i64) -> String {
    format!("{}.{:02} EUR", cents / 100, cents % 100)
}
