//! Three services and a model provider.

use std::path::PathBuf;

use reqwest::Url;
use tokio::{net::TcpListener, task::JoinSet};
use uuid::Uuid;

use crate::{
    BoxError, api,
    config::{Llm, Secret, Variables},
    db::Database,
    jobs,
    process::{Process, Stop},
    reality, stand_in,
    traffic::Places,
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
            Bound::new().await?,
            Bound::new().await?,
            Bound::new().await?,
            Bound::new().await?,
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
        let own = process.clone();
        services.spawn(async move { stand_in::serve(model.listener, &own).await });
        let own = process.clone();
        services.spawn(async move { api::serve(api.listener, config, &own).await });
        let (own, database) = (process.clone(), Database::open(&database_url)?);
        services.spawn(async move { jobs::serve(jobs.listener, database, &own).await });
        let (own, database) = (process.clone(), Database::open(&database_url)?);
        services
            .spawn(async move { reality::serve(reality.listener, database, &secret, &own).await });
        Ok(system)
    }

    pub(super) fn places(&self) -> Places {
        Places {
            api: self.api.clone(),
            reality: self.reality.clone(),
        }
    }

    pub(super) fn describe(&self) -> String {
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

    pub(super) fn invite(&self) -> String {
        format!(
            "\nThe system runs on, until Ctrl-C. Try:\n\
             \x20 curl {api}metrics\n\
             \x20 curl '{reality}listings?city=Graz'\n\
             or break the model provider, and see what customers get, and what is counted:\n\
             \x20 curl -X PUT -H content-type:application/json -d '{{\"kind\":\"429\"}}' {model}fault\n\
             \x20 API_URL={api} REALITY_URL={reality} TRAFFIC_SECONDS=10 cargo run -p property-management --bin traffic\n\
             \x20 curl -s {api}metrics | grep llm_requests_total\n",
            api = self.api,
            reality = self.reality,
            model = self.model,
        )
    }

    /// Waits for the services if they were asked to stop, ends them if not, and cleans up.
    pub(super) async fn stop(mut self, stop: &Stop) -> Result<(), BoxError> {
        if stop.is_asked() {
            while let Some(served) = self.services.join_next().await {
                served??;
            }
        }
        self.services.shutdown().await;
        std::fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}

/// A free port of loopback.
struct Bound {
    listener: TcpListener,
    url: Url,
}

impl Bound {
    async fn new() -> Result<Self, BoxError> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = Url::parse(&format!("http://{}", listener.local_addr()?))?;
        Ok(Self { listener, url })
    }
}
