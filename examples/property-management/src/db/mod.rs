//! The database: SQLite or PostgreSQL, selected by the URL.

mod documents;
mod error;
mod jobs;
mod last_success;
mod listings;
mod properties;
mod query;
mod schema;
mod users;

use std::{sync::Once, time::Duration};

pub(crate) use error::DbError;
pub(crate) use jobs::{Job, LEASE};
use last_success::LastSuccess;
pub(crate) use listings::{Listing, Search};
use log::LevelFilter;
pub(crate) use properties::{Draft, Property};
use query::Target;
use sqlx::{
    AnyPool, ConnectOptions, Executor,
    any::{AnyConnectOptions, AnyPoolOptions, install_default_drivers},
};

use crate::{BoxError, process::Shutdown, series};

const MAX_CONNECTIONS: u32 = 10;

/// The time limit to get a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);

/// The time limit of a query, including the wait for a connection.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// The minimum duration of a statement that is logged as slow.
const SLOW_STATEMENT: Duration = Duration::from_secs(1);

/// A connection pool and the span attributes of its target. The modules next to this module have the
/// queries of each table. [`query`] runs them.
#[derive(Clone)]
pub(crate) struct Database {
    pool: AnyPool,
    target: Target,
    last_success: LastSuccess,
}

impl Database {
    /// Creates a pool without connections, so that the database can start later.
    pub(crate) fn open(url: &str) -> Result<Self, BoxError> {
        static DRIVERS: Once = Once::new();
        DRIVERS.call_once(install_default_drivers);
        let url = match url.starts_with("sqlite:") && !url.contains('?') {
            true => format!("{url}?mode=rwc"),
            false => url.to_owned(),
        };
        let options: AnyConnectOptions = url.parse()?;
        let target = Target::from_url(&options.database_url);
        // Parameters are bound, so statements contain no personal data.
        let options = options
            .log_statements(LevelFilter::Debug)
            .log_slow_statements(LevelFilter::Warn, SLOW_STATEMENT);
        let session = target.session();
        let pool = AnyPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    for setting in session {
                        connection.execute(*setting).await?;
                    }
                    Ok(())
                })
            })
            .connect_lazy_with(options);
        series::register_database(MAX_CONNECTIONS);
        Ok(Self {
            pool,
            target,
            last_success: LastSuccess::default(),
        })
    }

    /// Creates missing tables. Retries until the database is available or a shutdown is requested.
    pub(crate) async fn prepare(&self, shutdown: &Shutdown) {
        let tables = async {
            while let Err(error) = self.create_tables().await {
                tracing::warn!(%error, "database not ready, retrying");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            tracing::info!(system = self.target.system, "database ready");
        };
        tokio::select! {
            () = tables => {}
            () = shutdown.wait() => {}
        }
    }
}
