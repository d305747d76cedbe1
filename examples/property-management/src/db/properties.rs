//! The table of properties.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Database, DbError, query::Query};

const OF_OWNER: Query = Query {
    kind: "properties_of_owner",
    operation: "SELECT",
    table: "properties",
    summary: "SELECT properties",
    sql: "SELECT id, title, city, rent_cents, description FROM properties \
          WHERE owner = $1 ORDER BY id DESC LIMIT 100",
};

const BY_ID: Query = Query {
    kind: "property_by_id",
    operation: "SELECT",
    table: "properties",
    summary: "SELECT properties",
    sql: "SELECT id, title, city, rent_cents, description FROM properties \
          WHERE owner = $1 AND id = $2",
};

const ADD: Query = Query {
    kind: "add_property",
    operation: "INSERT",
    table: "properties",
    summary: "INSERT properties",
    sql: "INSERT INTO properties (id, owner, title, city, rent_cents) VALUES ($1, $2, $3, $4, $5)",
};

const CHANGE: Query = Query {
    kind: "change_property",
    operation: "UPDATE",
    table: "properties",
    summary: "UPDATE properties",
    sql: "UPDATE properties SET title = $3, city = $4, rent_cents = $5 \
          WHERE owner = $1 AND id = $2 RETURNING id, title, city, rent_cents, description",
};

const DESCRIBE: Query = Query {
    kind: "describe_property",
    operation: "UPDATE",
    table: "properties",
    summary: "UPDATE properties",
    sql: "UPDATE properties SET description = $3 \
          WHERE owner = $1 AND id = $2 RETURNING id, title, city, rent_cents, description",
};

const REMOVE: Query = Query {
    kind: "remove_property",
    operation: "DELETE",
    table: "properties",
    summary: "DELETE properties",
    sql: "DELETE FROM properties WHERE owner = $1 AND id = $2 RETURNING id",
};

/// A flat or a house.
#[derive(Serialize)]
pub(crate) struct Property {
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) draft: Draft,
    pub(crate) description: Option<String>,
}

/// The fields that the owner sets.
#[derive(Serialize, Deserialize)]
pub(crate) struct Draft {
    pub(crate) title: String,
    pub(crate) city: String,
    pub(crate) rent_cents: i64,
}

type Row = (String, String, String, i64, Option<String>);

impl From<Row> for Property {
    fn from((id, title, city, rent_cents, description): Row) -> Self {
        let draft = Draft {
            title,
            city,
            rent_cents,
        };
        Self {
            id,
            draft,
            description,
        }
    }
}

impl Database {
    /// Returns the newest 100 properties of an owner. The span has the id of the user. The id is a random number, so it
    /// identifies a person only together with the table of users.
    #[tracing::instrument(skip(self, owner), fields(user_id = %owner))]
    pub(crate) async fn properties(&self, owner: &str) -> Result<Vec<Property>, DbError> {
        let rows = OF_OWNER.rows::<Row>().bind(owner.to_owned());
        let rows = self.fetch_all(&OF_OWNER, rows).await?;
        Ok(rows.into_iter().map(Property::from).collect())
    }

    pub(crate) async fn property(
        &self,
        owner: &str,
        id: &str,
    ) -> Result<Option<Property>, DbError> {
        let row = BY_ID.rows::<Row>().bind(owner.to_owned());
        let row = self.fetch_optional(&BY_ID, row.bind(id.to_owned())).await?;
        Ok(row.map(Property::from))
    }

    pub(crate) async fn add_property(
        &self,
        owner: &str,
        draft: Draft,
    ) -> Result<Property, DbError> {
        let id = Uuid::now_v7().to_string();
        let row = ADD.rows::<()>().bind(id.clone()).bind(owner.to_owned());
        let row = row.bind(draft.title.clone()).bind(draft.city.clone());
        self.fetch_optional(&ADD, row.bind(draft.rent_cents))
            .await?;
        Ok(Property {
            id,
            draft,
            description: None,
        })
    }

    pub(crate) async fn change_property(
        &self,
        owner: &str,
        id: &str,
        draft: Draft,
    ) -> Result<Option<Property>, DbError> {
        let Draft {
            title,
            city,
            rent_cents,
        } = draft;
        let row = CHANGE.rows::<Row>().bind(owner.to_owned());
        let row = row.bind(id.to_owned()).bind(title).bind(city);
        let row = self.fetch_optional(&CHANGE, row.bind(rent_cents)).await?;
        Ok(row.map(Property::from))
    }

    pub(crate) async fn describe_property(
        &self,
        owner: &str,
        id: &str,
        description: String,
    ) -> Result<Option<Property>, DbError> {
        let row = DESCRIBE.rows::<Row>().bind(owner.to_owned());
        let row = row.bind(id.to_owned()).bind(description);
        let row = self.fetch_optional(&DESCRIBE, row).await?;
        Ok(row.map(Property::from))
    }

    /// Removes a property. Returns whether it existed.
    pub(crate) async fn remove_property(&self, owner: &str, id: &str) -> Result<bool, DbError> {
        let row = REMOVE.rows::<(String,)>().bind(owner.to_owned());
        let row = self
            .fetch_optional(&REMOVE, row.bind(id.to_owned()))
            .await?;
        Ok(row.is_some())
    }
}
