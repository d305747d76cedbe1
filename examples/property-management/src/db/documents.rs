//! The table of documents. A document is stored and streamed in parts.

use super::{Database, DbError, query::Query};

const PART: Query = Query {
    kind: "document_part",
    operation: "SELECT",
    table: "documents",
    summary: "SELECT documents",
    sql: "SELECT content FROM documents WHERE owner = $1 AND id = $2 AND position = $3",
};

const ADD: Query = Query {
    kind: "add_document_part",
    operation: "INSERT",
    table: "documents",
    summary: "INSERT documents",
    sql: "INSERT INTO documents (id, owner, position, content) VALUES ($1, $2, $3, $4) \
          ON CONFLICT (id, position) DO UPDATE SET content = excluded.content",
};

impl Database {
    /// Returns a part of a document, from position 0. Returns `None` after the last part.
    pub(crate) async fn document_part(
        &self,
        owner: &str,
        id: &str,
        position: i64,
    ) -> Result<Option<String>, DbError> {
        let row = PART.rows::<(String,)>().bind(owner.to_owned());
        let row = row.bind(id.to_owned()).bind(position);
        Ok(self
            .fetch_optional(&PART, row)
            .await?
            .map(|(content,)| content))
    }

    pub(crate) async fn add_document_part(
        &self,
        owner: &str,
        id: &str,
        position: i64,
        content: String,
    ) -> Result<(), DbError> {
        let row = ADD.rows::<()>().bind(id.to_owned());
        let row = row.bind(owner.to_owned()).bind(position).bind(content);
        self.fetch_optional(&ADD, row).await?;
        Ok(())
    }
}
