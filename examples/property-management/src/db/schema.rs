//! The tables. They use only types that both databases have: text and 64-bit integers.

use super::{Database, DbError, query::Query};

const TABLES: [Query; 9] = [
    table(
        "users",
        "CREATE TABLE IF NOT EXISTS users (
            id TEXT PRIMARY KEY,
            email TEXT NOT NULL UNIQUE,
            password TEXT NOT NULL
        )",
    ),
    table(
        "properties",
        "CREATE TABLE IF NOT EXISTS properties (
            id TEXT PRIMARY KEY,
            owner TEXT NOT NULL,
            title TEXT NOT NULL,
            city TEXT NOT NULL,
            rent_cents BIGINT NOT NULL,
            description TEXT
        )",
    ),
    table(
        "properties",
        "CREATE INDEX IF NOT EXISTS properties_of_owner ON properties (owner, id)",
    ),
    table(
        "listings",
        "CREATE TABLE IF NOT EXISTS listings (
            id TEXT PRIMARY KEY,
            title TEXT NOT NULL,
            city TEXT NOT NULL,
            rent_cents BIGINT NOT NULL,
            description TEXT
        )",
    ),
    table(
        "listings",
        "CREATE INDEX IF NOT EXISTS listings_of_city ON listings (city, rent_cents)",
    ),
    table(
        "documents",
        "CREATE TABLE IF NOT EXISTS documents (
            id TEXT NOT NULL,
            owner TEXT NOT NULL,
            position BIGINT NOT NULL,
            content TEXT NOT NULL,
            PRIMARY KEY (id, position)
        )",
    ),
    table(
        "jobs",
        "CREATE TABLE IF NOT EXISTS jobs (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL,
            owner TEXT NOT NULL,
            subject TEXT NOT NULL,
            context TEXT NOT NULL,
            state TEXT NOT NULL,
            attempts BIGINT NOT NULL,
            queued_at BIGINT NOT NULL,
            due_at BIGINT NOT NULL
        )",
    ),
    table(
        "jobs",
        "CREATE INDEX IF NOT EXISTS jobs_due ON jobs (state, due_at)",
    ),
    table(
        "jobs",
        "CREATE INDEX IF NOT EXISTS jobs_queued ON jobs (state, queued_at)",
    ),
];

const fn table(table: &'static str, sql: &'static str) -> Query {
    Query {
        kind: "create_tables",
        operation: "CREATE",
        table,
        summary: "CREATE",
        sql,
    }
}

const PING: Query = Query {
    kind: "ping",
    operation: "SELECT",
    table: "jobs",
    summary: "SELECT jobs",
    sql: "SELECT 1 FROM jobs LIMIT 1",
};

impl Database {
    /// Creates missing tables. All processes call it when they start. In PostgreSQL, concurrent
    /// creation can fail. The caller retries.
    pub(super) async fn create_tables(&self) -> Result<(), DbError> {
        for table in &TABLES {
            self.fetch_optional::<()>(table, table.rows()).await?;
        }
        Ok(())
    }

    /// Returns whether the database responds and has its tables. If a query succeeded in the last seconds, no query is
    /// sent, so that probes add no queries to a busy service.
    pub(crate) async fn is_ready(&self) -> bool {
        self.last_success.is_recent()
            || self
                .fetch_optional::<(i64,)>(&PING, PING.rows())
                .await
                .is_ok()
    }
}
