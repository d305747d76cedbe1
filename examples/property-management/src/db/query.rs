//! One query: its span, its duration, its connection, its time limit. Nothing else in this system
//! talks to the pool.

use std::future::Future;

use metrics::counter;
use reqwest::Url;
use sqlx::{
    Any, FromRow,
    any::{AnyArguments, AnyRow},
    query::QueryAs,
};
use tokio::time;
use tracing::{Instrument, Span, field::Empty};

use super::{Database, DbError, STATEMENT};
use crate::instruments;

/// A sort of query: what spans, metrics and dashboards call it, and its text.
pub(super) struct Query {
    /// The label `query_type`.
    pub(super) kind: &'static str,
    /// What is done, `SELECT`.
    pub(super) operation: &'static str,
    /// To which table.
    pub(super) table: &'static str,
    /// `SELECT properties`: the name of the span.
    pub(super) summary: &'static str,
    pub(super) sql: &'static str,
}

/// A query with its parameters.
pub(super) type Bound<'q, O> = QueryAs<'q, Any, O, AnyArguments>;

/// What a row can become.
pub(super) trait Row: for<'r> FromRow<'r, AnyRow> + Send + Unpin {}

impl<O: for<'r> FromRow<'r, AnyRow> + Send + Unpin> Row for O {}

impl Query {
    /// The query as sqlx has it; for parameters to be bound.
    pub(super) fn rows<O: Row>(&self) -> Bound<'static, O> {
        sqlx::query_as(self.sql)
    }
}

/// Where the queries go.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) system: &'static str,
    namespace: Option<String>,
    address: Option<String>,
    port: Option<i64>,
}

impl Target {
    pub(super) fn of(url: &Url) -> Self {
        if url.scheme() == "sqlite" {
            return Self {
                system: "sqlite",
                namespace: None,
                address: None,
                port: None,
            };
        }
        let namespace = url.path().trim_start_matches('/');
        Self {
            system: "postgresql",
            namespace: Some(namespace.to_owned()).filter(|name| !name.is_empty()),
            address: url.host_str().map(str::to_owned),
            port: Some(i64::from(url.port().unwrap_or(5432))),
        }
    }

    /// What each connection begins with. The limits are those of the server: where we give up a
    /// statement, it should not go on.
    pub(super) fn session(&self) -> &'static [&'static str] {
        match self.system {
            "sqlite" => &[
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = NORMAL",
                "PRAGMA busy_timeout = 2000",
            ],
            _ => &["SET statement_timeout = '5s'"],
        }
    }
}

impl Database {
    /// The first row, if there is any.
    pub(super) async fn optional<O: Row>(
        &self,
        query: &Query,
        bound: Bound<'_, O>,
    ) -> Result<Option<O>, DbError> {
        let work = async {
            let mut connection = self.pool.acquire().await?;
            let _active = instruments::db_connection();
            bound.fetch_optional(&mut *connection).await
        };
        self.observed(query, work).await
    }

    /// All rows, of which the query has to bound the number.
    pub(super) async fn all<O: Row>(
        &self,
        query: &Query,
        bound: Bound<'_, O>,
    ) -> Result<Vec<O>, DbError> {
        let work = async {
            let mut connection = self.pool.acquire().await?;
            let _active = instruments::db_connection();
            bound.fetch_all(&mut *connection).await
        };
        self.observed(query, work).await
    }

    /// Ends once, as a span and in the histogram, also when whoever waits has gone.
    async fn observed<T>(
        &self,
        query: &Query,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, DbError> {
        let _timer = instruments::db_query(query.kind);
        let observed = async {
            let done = match time::timeout(STATEMENT, work).await {
                Ok(done) => done.map_err(|error| DbError::of(&error)),
                Err(_) => Err(DbError::timeout()),
            };
            done.inspect_err(|error| report(query, error))
        };
        observed.instrument(self.target.span(query)).await
    }
}

/// What went wrong, by its codes: the text of an error may quote what is in a row.
fn report(query: &Query, error: &DbError) {
    counter!("db_errors_total", "query_type" => query.kind).increment(1);
    let span = Span::current();
    span.record("otel.status_code", "ERROR");
    span.record("error.type", error.kind());
    span.record("db.response.status_code", error.code());
    tracing::warn!(query_type = query.kind, %error, "a query failed");
}

impl Target {
    /// Only below another span: the worker asks for jobs every second, and a trace of each look
    /// into an empty queue would bury the others.
    fn span(&self, query: &Query) -> Span {
        if Span::current().is_none() {
            return Span::none();
        }
        tracing::info_span!(
            "query",
            otel.name = query.summary,
            otel.kind = "client",
            otel.status_code = Empty,
            db.system.name = self.system,
            db.namespace = self.namespace,
            db.operation.name = query.operation,
            db.collection.name = query.table,
            db.query.summary = query.summary,
            // Parameters are bound: nobody's data is in it.
            db.query.text = query.sql,
            db.response.status_code = Empty,
            server.address = self.address,
            server.port = self.port,
            error.r#type = Empty,
        )
    }
}
