//! Documents, streamed part by part: a query for each, inside of the body, and so inside of the
//! span of the request.

use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;

use super::App;
use crate::{
    auth::SignedIn,
    db::{Database, DbError},
    problem::Problem,
};

pub(super) async fn stream(
    State(app): State<App>,
    own: SignedIn,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    // While there can still be an error of the whole.
    let first = app.database.document_part(&own.user, &id, 0).await?;
    let first = first.ok_or_else(|| Problem::not_found("document"))?;
    let reader = Reader {
        database: app.database,
        owner: own.user,
        id,
        next: 1,
        ready: Some(first),
    };
    let parts = stream::try_unfold(reader, |mut reader| async {
        Ok::<_, DbError>(reader.part().await?.map(|part| (part, reader)))
    });
    let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
    Ok((kind, Body::from_stream(parts)).into_response())
}

struct Reader {
    database: Database,
    owner: String,
    id: String,
    next: i64,
    ready: Option<String>,
}

impl Reader {
    async fn part(&mut self) -> Result<Option<Bytes>, DbError> {
        if let Some(ready) = self.ready.take() {
            return Ok(Some(ready.into()));
        }
        let (owner, id, position) = (&self.owner, &self.id, self.next);
        let part = self.database.document_part(owner, id, position).await?;
        self.next += 1;
        Ok(part.map(Bytes::from))
    }
}
