//! Who may sign in.

use uuid::Uuid;

use super::{Database, DbError, query::Query};

const BY_EMAIL: Query = Query {
    kind: "user_by_email",
    operation: "SELECT",
    table: "users",
    summary: "SELECT users",
    sql: "SELECT id, password FROM users WHERE email = $1",
};

const ADD: Query = Query {
    kind: "add_user",
    operation: "INSERT",
    table: "users",
    summary: "INSERT users",
    sql: "INSERT INTO users (id, email, password) VALUES ($1, $2, $3)",
};

/// What is needed to sign somebody in.
pub(crate) struct User {
    pub(crate) id: String,
    /// As [`Passwords`](crate::auth::Passwords) made it.
    pub(crate) password: String,
}

impl Database {
    pub(crate) async fn user_by_email(&self, email: &str) -> Result<Option<User>, DbError> {
        let row = self.optional(&BY_EMAIL, BY_EMAIL.rows().bind(email.to_owned()));
        Ok(row.await?.map(|(id, password)| User { id, password }))
    }

    pub(crate) async fn add_user(&self, email: &str, password: &str) -> Result<String, DbError> {
        let id = Uuid::now_v7().to_string();
        let row = ADD.rows::<()>().bind(id.clone());
        let row = row.bind(email.to_owned()).bind(password.to_owned());
        self.optional(&ADD, row).await?;
        Ok(id)
    }
}
