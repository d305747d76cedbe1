//! A system of four services, with or without telemetry, and a user with a property.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    time::Duration,
};

use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::time;
use uuid::Uuid;

use super::{
    connection::Connection,
    processes::{Processors, Service},
    requests::Kind,
};
use crate::BoxError;

/// The number of connections to the api-server.
const CONNECTIONS: usize = 16;

const EMAIL: &str = "load@example.com";
const PASSWORD: &str = "correct horse battery";

/// The time that a span waits for its export.
pub(super) const EXPORT_DELAY: Duration = Duration::from_millis(100);

/// The time limit for the start of the services.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A running system. When it is dropped, it is stopped and its database is removed.
pub(super) struct System {
    pub(super) connections: Vec<Connection>,
    address: SocketAddr,
    token: String,
    property: String,
    services: Vec<Service>,
    folder: PathBuf,
}

impl System {
    /// Starts a system. It has telemetry if an endpoint is given.
    pub(super) async fn start(
        endpoint: Option<&str>,
        processors: &Processors,
    ) -> Result<Self, BoxError> {
        let folder = std::env::temp_dir().join(format!("property-management-{}", Uuid::now_v7()));
        std::fs::create_dir(&folder)?;
        let [api, reality, jobs, model] = free_addresses()?;
        let database = format!("sqlite://{}", folder.join("database").display());
        let (reality_url, model_url) = (format!("http://{reality}"), format!("http://{model}/v1"));
        let secret = Uuid::new_v4().to_string();
        let export_delay = EXPORT_DELAY.as_millis().to_string();
        let mut variables = vec![
            ("DATABASE_URL", &*database),
            ("JWT_SECRET", &secret),
            ("REALITY_URL", &reality_url),
            ("LLM_BASE_URL", &model_url),
            ("LLM_API_KEY", &secret),
            ("LOG_LEVEL", "error"),
        ];
        match endpoint {
            Some(endpoint) => variables.extend([
                ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
                ("OTEL_TRACES_SAMPLER", "parentbased_always_on"),
                ("OTEL_BSP_SCHEDULE_DELAY", &export_delay),
            ]),
            None => variables.push(("OTEL_SDK_DISABLED", "true")),
        }
        let mut services = Vec::new();
        for (name, address) in [
            ("model-stand-in", model),
            ("reality-server", reality),
            ("jobs", jobs),
            ("api-server", api),
        ] {
            let address = address.to_string();
            let variables = variables.iter().copied();
            let variables = variables.chain([("LISTEN_ADDR", &*address)]);
            services.push(Service::start(name, variables, processors)?);
        }
        let mut system = Self {
            connections: Vec::new(),
            address: api,
            token: String::new(),
            property: String::new(),
            services,
            folder,
        };
        let client = Client::new();
        time::timeout(START_TIMEOUT, async {
            for (address, path) in [(model, "healthz"), (reality, "readyz"), (api, "readyz")] {
                until_available(&client, &format!("http://{address}/{path}")).await;
            }
        })
        .await
        .map_err(|_| "the services did not start in time")?;
        system.add_user(&client).await?;
        for _ in 0..CONNECTIONS {
            system.connections.push(Connection::open(api)?);
        }
        Ok(system)
    }

    /// Signs a user up and adds a property.
    async fn add_user(&mut self, client: &Client) -> Result<(), BoxError> {
        let base = format!("http://{}", self.address);
        let send = async |path: &str, body: &Value, token: &str, field: &str| {
            let request = client.post(format!("{base}{path}")).bearer_auth(token);
            let response = request.json(body).send().await?.error_for_status()?;
            let json: Value = response.json().await?;
            let text = json.get(field).and_then(Value::as_str).map(str::to_owned);
            text.ok_or_else(|| BoxError::from(format!("{path}: the response has no {field}")))
        };
        let credentials = credentials();
        send("/users", &credentials, "", "id").await?;
        self.token = send("/login", &credentials, "", "token").await?;
        let property = json!({ "title": "Flat", "city": "Graz", "rent_cents": 90_000 });
        self.property = send("/properties", &property, &self.token, "id").await?;
        Ok(())
    }

    /// Returns a request as bytes, in a new trace.
    pub(super) fn request(&self, kind: &Kind) -> Vec<u8> {
        let path = kind.path.replace("{id}", &self.property);
        let body = match kind.sends_credentials {
            true => credentials().to_string(),
            false => String::new(),
        };
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\nuser-agent: load/1.0\r\naccept: */*\r\n\
             authorization: Bearer {token}\r\ntraceparent: 00-{trace:032x}-{span:016x}-01\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}",
            method = kind.method,
            address = self.address,
            token = self.token,
            trace = fastrand::u128(1..),
            span = fastrand::u64(1..),
            length = body.len(),
        )
        .into_bytes()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.services.clear();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn credentials() -> Value {
    json!({ "email": EMAIL, "password": PASSWORD })
}

/// Returns unused loopback addresses.
fn free_addresses() -> Result<[SocketAddr; 4], BoxError> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    // All listeners are bound before the first one is closed, so that the addresses differ.
    let listeners = [bind()?, bind()?, bind()?, bind()?];
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 4];
    for (address, listener) in addresses.iter_mut().zip(&listeners) {
        *address = listener.local_addr()?;
    }
    Ok(addresses)
}

async fn until_available(client: &Client, url: &str) {
    let mut interval = time::interval(Duration::from_millis(20));
    loop {
        interval.tick().await;
        let response = client.get(url).send().await;
        if response.is_ok_and(|response| response.status() == StatusCode::OK) {
            return;
        }
    }
}
