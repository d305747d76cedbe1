//! `GET /documents/{id}`: streams a document. While the body is sent, a query in the span of the request reads
//! each part.

use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use futures_util::stream;

use super::App;
use crate::{
    auth::AuthenticatedUser,
    db::{Database, DbError},
    problem::Problem,
};

pub(super) async fn stream(
    State(app): State<App>,
    user: AuthenticatedUser,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    // If the query of the first part fails, the status can still be changed.
    let first = app.database.document_part(&user.id, &id, 0).await?;
    let first = first.ok_or_else(|| Problem::not_found("document"))?;
    let reader = Reader {
        database: app.database.clone(),
        owner: user.id,
        id,
        next: 1,
        buffered: Some(first),
    };
    let parts = stream::try_unfold(reader, |mut reader| async {
        Ok::<_, DbError>(reader.next_part().await?.map(|part| (part, reader)))
    });
    let content_type = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
    Ok((content_type, Body::from_stream(parts)).into_response())
}

struct Reader {
    database: Database,
    owner: String,
    id: String,
    next: i64,
    buffered: Option<String>,
}

impl Reader {
    async fn next_part(&mut self) -> Result<Option<Bytes>, DbError> {
        if let Some(part) = self.buffered.take() {
            return Ok(Some(part.into()));
        }
        let (owner, id, position) = (&self.owner, &self.id, self.next);
        let part = self.database.document_part(owner, id, position).await?;
        self.next += 1;
        Ok(part.map(Bytes::from))
    }
}
