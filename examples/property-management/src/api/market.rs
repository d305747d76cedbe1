//! `GET /properties/{id}/comparables`, and the client of the reality-server.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use reqwest::Url;
use reqwest_middleware::ClientWithMiddleware;
use tower_otel_propagate::Hosts;

use super::{App, properties::property_not_found};
use crate::{
    BoxError,
    auth::{Audience, AuthenticatedUser, Keys},
    db::Listing,
    extract::Json,
    layers::Layers,
    problem::Problem,
};

const TIMEOUT: Duration = Duration::from_secs(3);

/// A client of the reality-server.
#[derive(Clone)]
pub(crate) struct Market {
    client: ClientWithMiddleware,
    listings: Arc<Url>,
    keys: Keys,
}

impl Market {
    pub(super) fn new(base: Url, keys: Keys, layers: Layers) -> Result<Self, BoxError> {
        let host = base.host_str().unwrap_or_default().to_owned();
        Ok(Self {
            client: layers.client(Hosts::new([host]), TIMEOUT)?,
            listings: Arc::new(base.join("/listings")?),
            keys,
        })
    }

    /// Returns up to five listings of a city, sorted by rent.
    pub(super) async fn listings(&self, city: &str) -> Result<Vec<Listing>, Problem> {
        // The route is public. But the reality-server continues the trace only with a token.
        let token = self.keys.sign(Audience::Reality, "api-server");
        let token = token.map_err(|_| Problem::internal())?;
        let mut url = Url::clone(&self.listings);
        url.query_pairs_mut()
            .extend_pairs([("city", city), ("limit", "5")]);
        let request = self.client.get(url);
        let response = request.bearer_auth(token).send().await.map_err(|error| {
            if error.is_timeout() && !error.is_connect() {
                let detail = "the listings did not arrive in time";
                let status = StatusCode::GATEWAY_TIMEOUT;
                return Problem::new(status, "Another service is too slow", detail);
            }
            Problem::unavailable("the listings are not available")
        })?;
        match response.status() {
            status if status.is_success() => response.json().await.map_err(|_| {
                let detail = "the response with the listings is malformed";
                Problem::new(
                    StatusCode::BAD_GATEWAY,
                    "Bad response from another service",
                    detail,
                )
            }),
            _ => Err(Problem::unavailable("the listings are not available")),
        }
    }
}

pub(super) async fn comparables(
    State(app): State<App>,
    user: AuthenticatedUser,
    Path(id): Path<String>,
) -> Result<Json<Vec<Listing>>, Problem> {
    let property = app.database.property(&user.id, &id).await?;
    let property = property.ok_or_else(property_not_found)?;
    Ok(Json(app.market.listings(&property.draft.city).await?))
}
