//! Starts and stops the services.

use std::path::PathBuf;

use reqwest::Url;
use tokio::{net::TcpListener, task::JoinSet};
use uuid::Uuid;

use crate::{
    BoxError, api,
    config::{Llm, Secret, Variables},
    db::Database,
    jobs,
    process::{Process, Shutdown},
    reality, stand_in,
    traffic::ServiceUrls,
};

pub(super) struct System {
    api: Url,
    reality: Url,
    jobs: Url,
    model: Url,
    services: JoinSet<Result<(), BoxError>>,
    folder: PathBuf,
}

impl System {
    pub(super) async fn start(process: &Process) -> Result<Self, BoxError> {
        let folder = std::env::temp_dir().join(format!("property-management-{}", Uuid::now_v7()));
        std::fs::create_dir(&folder)?;
        let database_url = format!("sqlite://{}", folder.join("database").display());
        let (api, reality, jobs, model) = (
            BoundListener::new().await?,
            BoundListener::new().await?,
            BoundListener::new().await?,
            BoundListener::new().await?,
        );
        let secret = Secret::random()?;
        let config = api::Config {
            database_url: database_url.clone(),
            reality: reality.url.clone(),
            llm: Llm {
                base: model.url.join("v1")?,
                key: Some(Secret::random()?),
                ..Variables::new(|_| None).llm()?
            },
            jwt_secret: secret.clone(),
        };
        let mut system = Self {
            api: api.url,
            reality: reality.url,
            jobs: jobs.url,
            model: model.url,
            services: JoinSet::new(),
            folder,
        };
        let services = &mut system.services;
        let state = process.clone();
        services.spawn(async move { stand_in::serve(model.listener, &state).await });
        let state = process.clone();
        services.spawn(async move { api::serve(api.listener, config, &state).await });
        let (state, database) = (process.clone(), Database::open(&database_url)?);
        services.spawn(async move { jobs::serve(jobs.listener, database, &state).await });
        let (state, database) = (process.clone(), Database::open(&database_url)?);
        services.spawn(
            async move { reality::serve(reality.listener, database, &secret, &state).await },
        );
        Ok(system)
    }

    pub(super) fn urls(&self) -> ServiceUrls {
        ServiceUrls {
            api: self.api.clone(),
            reality: self.reality.clone(),
        }
    }

    pub(super) fn summary(&self) -> String {
        format!(
            "api-server      {}\nreality-server  {}\njobs            {}\nmodel-stand-in  {}\n\
             database        {}\n\n",
            self.api,
            self.reality,
            self.jobs,
            self.model,
            self.folder.join("database").display(),
        )
    }

    pub(super) fn next_steps(&self) -> String {
        format!(
            "\nStill serving until Ctrl-C. Try:\n\
             \x20 curl {api}metrics\n\
             \x20 curl '{reality}listings?city=Graz'\n\
             Set a fault of the model provider, send requests, and read the metrics:\n\
             \x20 curl -X PUT -H content-type:application/json -d '{{\"kind\":\"429\"}}' {model}fault\n\
             \x20 API_URL={api} REALITY_URL={reality} TRAFFIC_SECONDS=10 cargo run -p property-management --bin traffic\n\
             \x20 curl -s {api}metrics | grep llm_requests_total\n",
            api = self.api,
            reality = self.reality,
            model = self.model,
        )
    }

    /// Stops the services and removes the folder. Waits for them if a shutdown was requested.
    pub(super) async fn stop(mut self, shutdown: &Shutdown) -> Result<(), BoxError> {
        if shutdown.is_requested() {
            while let Some(result) = self.services.join_next().await {
                result??;
            }
        }
        self.services.shutdown().await;
        std::fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}

/// A listener on a free port of loopback.
struct BoundListener {
    listener: TcpListener,
    url: Url,
}

impl BoundListener {
    async fn new() -> Result<Self, BoxError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = Url::parse(&format!("http://{}", listener.local_addr()?))?;
        Ok(Self { listener, url })
    }
}
