//! Signing up and signing in.

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use crate::{auth::Audience, extract::Json, instruments, problem::Problem};

/// No `Debug`: nobody is to write it into a log line.
#[derive(Deserialize)]
pub(super) struct Credentials {
    email: String,
    password: String,
}

pub(super) async fn sign_up(
    State(app): State<App>,
    Json(own): Json<Credentials>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if !own.email.contains('@') || own.password.len() < 8 {
        let detail = "an e-mail address and a password of 8 characters are needed";
        return Err(Problem::invalid(detail));
    }
    let password = app.passwords.hash(own.password).await?;
    let id = app.database.add_user(&own.email, &password).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

/// The caller is not told which of the two was wrong; the metrics are.
pub(super) async fn login(
    State(app): State<App>,
    Json(own): Json<Credentials>,
) -> Result<Json<Value>, Problem> {
    let user = app.database.user_by_email(&own.email).await?;
    let (id, hash) = user.map(|user| (user.id, user.password)).unzip();
    if !app.passwords.verify(own.password, hash).await? {
        instruments::auth_failure(match id {
            Some(_) => "wrong_password",
            None => "unknown_user",
        });
        return Err(Problem::unauthorized("e-mail or password is wrong"));
    }
    let token = app.keys.sign(Audience::Api, &id.unwrap_or_default());
    let token = token.map_err(|_| Problem::internal())?;
    Ok(Json(json!({ "token": token })))
}
