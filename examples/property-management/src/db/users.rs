//! The table of users.

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

/// The id and the password hash of a user.
pub(crate) struct User {
    pub(crate) id: String,
    /// The hash from [`PasswordHasher`](crate::auth::PasswordHasher).
    pub(crate) password_hash: String,
}

impl Database {
    pub(crate) async fn user_by_email(&self, email: &str) -> Result<Option<User>, DbError> {
        let row = self.fetch_optional(&BY_EMAIL, BY_EMAIL.rows().bind(email.to_owned()));
        Ok(row
            .await?
            .map(|(id, password_hash)| User { id, password_hash }))
    }

    pub(crate) async fn add_user(
        &self,
        email: &str,
        password_hash: &str,
    ) -> Result<String, DbError> {
        let id = Uuid::now_v7().to_string();
        let row = ADD.rows::<()>().bind(id.clone());
        let row = row.bind(email.to_owned()).bind(password_hash.to_owned());
        self.fetch_optional(&ADD, row).await?;
        Ok(id)
    }
}
