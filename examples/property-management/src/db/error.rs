//! Query errors, classified by their consequence for the client.

use std::{borrow::Cow, fmt};

use crate::problem::Problem;

/// A failed query. It contains codes only, because error texts can quote data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DbError {
    category: Category,
    kind: Cow<'static, str>,
    code: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Category {
    /// The database does not respond, or is busy.
    Unavailable,
    /// A unique constraint is violated.
    Conflict,
    /// The query or the schema is wrong.
    Failed,
}

impl DbError {
    pub(super) fn from_sqlx(error: &sqlx::Error) -> Self {
        let (category, kind) = match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default().into_owned();
                let category = match () {
                    () if error.is_unique_violation() => Category::Conflict,
                    () if is_transient(&code) => Category::Unavailable,
                    () => Category::Failed,
                };
                return Self {
                    category,
                    kind: code.clone().into(),
                    code: Some(code),
                };
            }
            sqlx::Error::PoolTimedOut => (Category::Unavailable, "pool_timeout"),
            sqlx::Error::PoolClosed => (Category::Unavailable, "pool_closed"),
            sqlx::Error::WorkerCrashed => (Category::Unavailable, "worker_crashed"),
            sqlx::Error::Io(_) => (Category::Unavailable, "io"),
            sqlx::Error::Tls(_) => (Category::Unavailable, "tls"),
            sqlx::Error::Protocol(_) => (Category::Failed, "protocol"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                (Category::Failed, "decode")
            }
            _ => (Category::Failed, "_OTHER"),
        };
        Self {
            category,
            kind: kind.into(),
            code: None,
        }
    }

    pub(super) fn timeout() -> Self {
        Self {
            category: Category::Unavailable,
            kind: "timeout".into(),
            code: None,
        }
    }

    /// Returns whether a unique constraint is violated: a result that the caller handles.
    pub(super) fn is_conflict(&self) -> bool {
        self.category == Category::Conflict
    }

    /// Returns the attribute `error.type`.
    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns the attribute `db.response.status_code`.
    pub(super) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

/// Returns whether a code reports the state or load of the database, not an error of the statement.
/// SQLite codes are numbers with the primary code in the last byte; PostgreSQL codes have five
/// characters.
fn is_transient(code: &str) -> bool {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const READ_ONLY: i32 = 8;
    const IO: i32 = 10;
    const FULL: i32 = 13;
    const CANNOT_OPEN: i32 = 14;
    if code.len() == 5 {
        // Connection, resources, operator intervention, lock not available, deadlock.
        return ["08", "53", "57", "55P03", "40"]
            .iter()
            .any(|class| code.starts_with(class));
    }
    code.parse::<i32>()
        .is_ok_and(|code| [BUSY, LOCKED, READ_ONLY, IO, FULL, CANNOT_OPEN].contains(&(code & 0xff)))
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error.category {
            Category::Unavailable => Self::unavailable("the database does not respond"),
            Category::Conflict => Self::new(
                axum::http::StatusCode::CONFLICT,
                "Conflict",
                "the resource already exists",
            ),
            Category::Failed => Self::internal(),
        }
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database: {}", self.kind)
    }
}

impl std::error::Error for DbError {}
