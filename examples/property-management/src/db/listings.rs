//! The table of public listings.

use serde::{Deserialize, Serialize};

use super::{Database, DbError, Property, query::Query};

const SEARCH: Query = Query {
    kind: "search_listings",
    operation: "SELECT",
    table: "listings",
    summary: "SELECT listings",
    sql: "SELECT id, title, city, rent_cents, description FROM listings \
          WHERE ($1 = '' OR city = $1) AND rent_cents <= $2 \
          AND ($3 = '' OR LOWER(title) LIKE $3 ESCAPE '!') ORDER BY rent_cents LIMIT $4",
};

const BY_ID: Query = Query {
    kind: "listing_by_id",
    operation: "SELECT",
    table: "listings",
    summary: "SELECT listings",
    sql: "SELECT id, title, city, rent_cents, description FROM listings WHERE id = $1",
};

const PUBLISH: Query = Query {
    kind: "publish_listing",
    operation: "INSERT",
    table: "listings",
    summary: "INSERT listings",
    sql: "INSERT INTO listings (id, title, city, rent_cents, description) \
          VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO UPDATE SET \
          title = excluded.title, city = excluded.city, rent_cents = excluded.rent_cents, \
          description = excluded.description",
};

const WITHDRAW: Query = Query {
    kind: "withdraw_listing",
    operation: "DELETE",
    table: "listings",
    summary: "DELETE listings",
    sql: "DELETE FROM listings WHERE id = $1",
};

/// A published property.
#[derive(Serialize, Deserialize)]
pub(crate) struct Listing {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) city: String,
    pub(crate) rent_cents: i64,
    pub(crate) description: Option<String>,
}

/// The criteria of a search.
#[derive(Default)]
pub(crate) struct Search {
    pub(crate) city: Option<String>,
    pub(crate) max_rent_cents: Option<i64>,
    /// Text in the title.
    pub(crate) words: Option<String>,
    pub(crate) limit: u8,
}

type Row = (String, String, String, i64, Option<String>);

impl From<Row> for Listing {
    fn from((id, title, city, rent_cents, description): Row) -> Self {
        Self {
            id,
            title,
            city,
            rent_cents,
            description,
        }
    }
}

impl Database {
    pub(crate) async fn listings(&self, search: Search) -> Result<Vec<Listing>, DbError> {
        let row = SEARCH.rows::<Row>();
        let row = row.bind(search.city.unwrap_or_default());
        let row = row.bind(search.max_rent_cents.unwrap_or(i64::MAX));
        let row = row.bind(
            search
                .words
                .map(|words| like_pattern(&words))
                .unwrap_or_default(),
        );
        let row = row.bind(i64::from(search.limit));
        let rows = self.fetch_all(&SEARCH, row).await?;
        Ok(rows.into_iter().map(Listing::from).collect())
    }

    pub(crate) async fn listing(&self, id: &str) -> Result<Option<Listing>, DbError> {
        let row = self.fetch_optional(&BY_ID, BY_ID.rows::<Row>().bind(id.to_owned()));
        Ok(row.await?.map(Listing::from))
    }

    pub(crate) async fn publish_listing(&self, property: Property) -> Result<(), DbError> {
        let row = PUBLISH.rows::<()>().bind(property.id);
        let row = row.bind(property.draft.title).bind(property.draft.city);
        let row = row.bind(property.draft.rent_cents);
        self.fetch_optional(&PUBLISH, row.bind(property.description))
            .await?;
        Ok(())
    }

    pub(crate) async fn withdraw_listing(&self, id: &str) -> Result<(), DbError> {
        let row = WITHDRAW.rows::<()>().bind(id.to_owned());
        self.fetch_optional(&WITHDRAW, row).await?;
        Ok(())
    }
}

/// Returns a `LIKE` pattern that matches the words anywhere.
fn like_pattern(words: &str) -> String {
    let escaped: String = words
        .to_lowercase()
        .chars()
        .flat_map(|char| {
            let escape = matches!(char, '%' | '_' | '!').then_some('!');
            escape.into_iter().chain([char])
        })
        .collect();
    format!("%{escaped}%")
}
