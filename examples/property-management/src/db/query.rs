//! Runs queries, each with a span, a duration, a connection and a time limit. No other module uses
//! the pool.

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

use super::{Database, DbError, QUERY_TIMEOUT};
use crate::instruments;

/// A query: its text, and its names in spans and metrics.
pub(super) struct Query {
    /// The label `query_type`.
    pub(super) kind: &'static str,
    /// The attribute `db.operation.name`, such as `SELECT`.
    pub(super) operation: &'static str,
    /// The attribute `db.collection.name`.
    pub(super) table: &'static str,
    /// The name of the span, such as `SELECT properties`.
    pub(super) summary: &'static str,
    pub(super) sql: &'static str,
}

/// A query with bound parameters.
pub(super) type Bound<'q, O> = QueryAs<'q, Any, O, AnyArguments>;

/// A type that is read from a row.
pub(super) trait Row: for<'r> FromRow<'r, AnyRow> + Send + Unpin {}

impl<O: for<'r> FromRow<'r, AnyRow> + Send + Unpin> Row for O {}

impl Query {
    /// Returns the sqlx query, to bind its parameters.
    pub(super) fn rows<O: Row>(&self) -> Bound<'static, O> {
        sqlx::query_as(self.sql)
    }
}

/// The database, as span attributes.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) system: &'static str,
    namespace: Option<String>,
    address: Option<String>,
    port: Option<i64>,
}

impl Target {
    pub(super) fn from_url(url: &Url) -> Self {
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

    /// Returns the statements that configure a connection. They set a time limit in the server, too, so that
    /// the server stops a statement after the client has timed out.
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
    /// Returns the first row, if any.
    pub(super) async fn fetch_optional<O: Row>(
        &self,
        query: &Query,
        bound: Bound<'_, O>,
    ) -> Result<Option<O>, DbError> {
        let query_future = async {
            let mut connection = self.pool.acquire().await?;
            let _active = instruments::db_connection();
            bound.fetch_optional(&mut *connection).await
        };
        self.run(query, query_future).await
    }

    /// Returns all rows. The query must limit their number.
    pub(super) async fn fetch_all<O: Row>(
        &self,
        query: &Query,
        bound: Bound<'_, O>,
    ) -> Result<Vec<O>, DbError> {
        let query_future = async {
            let mut connection = self.pool.acquire().await?;
            let _active = instruments::db_connection();
            bound.fetch_all(&mut *connection).await
        };
        self.run(query, query_future).await
    }

    /// Runs a query with a span, a timer and a time limit. Span and timer also end if the future is
    /// dropped.
    async fn run<T>(
        &self,
        query: &Query,
        query_future: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, DbError> {
        let _timer = instruments::db_query(query.kind);
        let run = async {
            let result = match time::timeout(QUERY_TIMEOUT, query_future).await {
                Ok(result) => result.map_err(|error| DbError::from_sqlx(&error)),
                Err(_) => Err(DbError::timeout()),
            };
            match &result {
                Ok(_) => self.last_success.record(),
                Err(error) => record_error(query, error),
            }
            result
        };
        run.instrument(self.target.span(query)).await
    }
}

/// Records the codes of a failed query, because error texts can quote data. A violated unique constraint
/// is not an error of the database, so it is not counted.
fn record_error(query: &Query, error: &DbError) {
    if !error.is_conflict() {
        counter!("db_errors_total", "query_type" => query.kind).increment(1);
    }
    let span = Span::current();
    span.record("otel.status_code", "ERROR");
    span.record("error.type", error.kind());
    span.record("db.response.status_code", error.code());
    tracing::warn!(query_type = query.kind, %error, "query failed");
}

impl Target {
    /// Returns the span of a query. Without a parent span, the query has no span, so that polls of the
    /// empty queue do not create traces.
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
            // Parameters are bound, so the text contains no personal data.
            db.query.text = query.sql,
            db.response.status_code = Empty,
            server.address = self.address,
            server.port = self.port,
            error.r#type = Empty,
        )
    }
}
