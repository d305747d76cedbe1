//! `POST /users` and `POST /login`.

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use crate::{auth::Audience, extract::Json, instruments, problem::Problem};

/// An e-mail address and a password. The type does not implement `Debug`, so that it cannot be logged.
#[derive(Deserialize)]
pub(super) struct Credentials {
    email: String,
    password: String,
}

pub(super) async fn sign_up(
    State(app): State<App>,
    Json(credentials): Json<Credentials>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    if !credentials.email.contains('@') || credentials.password.len() < 8 {
        let detail = "an e-mail address and a password of at least 8 bytes are required";
        return Err(Problem::invalid(detail));
    }
    let password = app.passwords.hash(credentials.password).await?;
    let id = app.database.add_user(&credentials.email, &password).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

/// Returns a token. The response does not show which credential was wrong. The metrics do.
pub(super) async fn login(
    State(app): State<App>,
    Json(credentials): Json<Credentials>,
) -> Result<Json<Value>, Problem> {
    let user = app.database.user_by_email(&credentials.email).await?;
    let (id, hash) = user.map(|user| (user.id, user.password_hash)).unzip();
    if !app.passwords.verify(credentials.password, hash).await? {
        instruments::auth_failure(match id {
            Some(_) => "wrong_password",
            None => "unknown_user",
        });
        return Err(Problem::unauthorized("wrong e-mail address or password"));
    }
    let token = app.keys.sign(Audience::Api, &id.unwrap_or_default());
    let token = token.map_err(|_| Problem::internal())?;
    Ok(Json(json!({ "token": token })))
}
