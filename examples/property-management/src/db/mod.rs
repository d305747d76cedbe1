//! The database: SQLite or PostgreSQL, by the URL.

mod documents;
mod error;
mod jobs;
mod listings;
mod properties;
mod query;
mod schema;
mod users;

use std::{sync::Once, time::Duration};

pub(crate) use error::DbError;
pub(crate) use jobs::Job;
pub(crate) use listings::{Listing, Search};
use log::LevelFilter;
pub(crate) use properties::{Draft, Property};
use query::Target;
use sqlx::{
    AnyPool, ConnectOptions, Executor,
    any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers},
};

use crate::{BoxError, metrics, process::Stop};

const MAX_CONNECTIONS: u32 = 10;

/// How long a query may wait for a connection.
const ACQUIRE: Duration = Duration::from_secs(2);

/// How long it may take, with the waiting.
const STATEMENT: Duration = Duration::from_secs(5);

/// From when on a statement is slow, and logged as a warning.
const SLOW: Duration = Duration::from_secs(1);

/// A pool of connections, and what spans say of where they lead. A repository for each table is
/// beside this; every query goes through [`query`].
#[derive(Clone)]
pub(crate) struct Database {
    pool: AnyPool,
    target: Target,
}

impl Database {
    /// Opens a pool, and no connection yet: the database may be slower to start than its users.
    pub(crate) fn open(url: &str) -> Result<Self, BoxError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(install_default_drivers);
        let url = match url.starts_with("sqlite:") && !url.contains('?') {
            true => format!("{url}?mode=rwc"),
            false => url.to_owned(),
        };
        let options: AnyConnectOptions = url.parse()?;
        let target = Target::of(&options.database_url);
        // Parameters are bound, so the text of a statement holds nobody's data.
        let options = options
            .log_statements(LevelFilter::Debug)
            .log_slow_statements(LevelFilter::Warn, SLOW);
        let session = target.session();
        let pool = AnyPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    for setting in session {
                        connection.execute(*setting).await?;
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        metrics::of_database(MAX_CONNECTIONS);
        Ok(Self { pool, target })
    }

    /// Makes the tables where they are missing, however long it takes until there is a database.
    pub(crate) async fn prepare(&self, stop: &Stop) {
        let preparing = async {
            while let Err(error) = self.create_tables().await {
                tracing::warn!(%error, "the database is not ready yet");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tracing::info!(system = self.target.system, "the database is ready");
        };
        tokio::select! {
            () = preparing => {}
            () = stop.asked() => {}
        }
    }
}
