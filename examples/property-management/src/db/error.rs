//! What can go wrong with a query, told apart by what there is to do about it.

use std::{borrow::Cow, fmt};

use crate::problem::Problem;

/// A query that failed, without a word of what was in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DbError {
    nature: Nature,
    kind: Cow<'static, str>,
    code: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    /// The database does not answer, or not now.
    Unavailable,
    /// There is one like it already.
    Conflict,
    /// A mistake of ours.
    Failed,
}

impl DbError {
    pub(super) fn of(error: &sqlx::Error) -> Self {
        let (nature, kind) = match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default().into_owned();
                let nature = match () {
                    () if error.is_unique_violation() => Nature::Conflict,
                    () if comes_back(&code) => Nature::Unavailable,
                    () => Nature::Failed,
                };
                return Self {
                    nature,
                    kind: code.clone().into(),
                    code: Some(code),
                };
            }
            sqlx::Error::PoolTimedOut => (Nature::Unavailable, "pool_timeout"),
            sqlx::Error::PoolClosed => (Nature::Unavailable, "pool_closed"),
            sqlx::Error::WorkerCrashed => (Nature::Unavailable, "worker_crashed"),
            sqlx::Error::Io(_) => (Nature::Unavailable, "io"),
            sqlx::Error::Tls(_) => (Nature::Unavailable, "tls"),
            sqlx::Error::Protocol(_) => (Nature::Failed, "protocol"),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => (Nature::Failed, "decode"),
            _ => (Nature::Failed, "_OTHER"),
        };
        Self {
            nature,
            kind: kind.into(),
            code: None,
        }
    }

    pub(super) fn timeout() -> Self {
        Self {
            nature: Nature::Unavailable,
            kind: "timeout".into(),
            code: None,
        }
    }

    /// The attribute `error.type`.
    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    /// The attribute `db.response.status_code`.
    pub(super) fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }
}

/// Whether the database speaks of itself or of its load, and not of the statement. SQLite's codes
/// are numbers, of which the last byte says what it is; PostgreSQL's have five characters.
fn comes_back(code: &str) -> bool {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const READ_ONLY: i32 = 8;
    const IO: i32 = 10;
    const FULL: i32 = 13;
    const CANNOT_OPEN: i32 = 14;
    if code.len() == 5 {
        // Connection, resources, operator's intervention, lock not available, deadlock.
        return ["08", "53", "57", "55P03", "40"]
            .iter()
            .any(|class| code.starts_with(class));
    }
    code.parse::<i32>()
        .is_ok_and(|code| [BUSY, LOCKED, READ_ONLY, IO, FULL, CANNOT_OPEN].contains(&(code & 0xff)))
}

impl From<DbError> for Problem {
    fn from(error: DbError) -> Self {
        match error.nature {
            Nature::Unavailable => Self::unavailable("the database does not answer"),
            Nature::Conflict => Self::new(
                axum::http::StatusCode::CONFLICT,
                "Conflict",
                "there is one like this already",
            ),
            Nature::Failed => Self::internal(),
        }
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "database: {}", self.kind)
    }
}

impl std::error::Error for DbError {}
