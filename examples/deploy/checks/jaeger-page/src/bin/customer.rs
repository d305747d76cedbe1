//! A customer of the system at `API_URL`. One of its actions crosses all services, and is one trace. The `OTEL_*` variables
//! configure telemetry.

use std::{env, error::Error, time::Duration};

use reqwest::{Client, Method, Request, Url};
use serde_json::{Value, json};
use tokio::time;
use tower::{Service, ServiceBuilder, ServiceExt};
use tower_otel_init::{PropagateLayer, Telemetry, TraceLayer};
use tracing::Instrument;

type BoxError = Box<dyn Error + Send + Sync>;

/// The time limit of all requests.
const TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let telemetry = Telemetry::from_env("customer")?;
    let client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(PropagateLayer::new())
        .service(Client::new());
    let api = env::var("API_URL").map_err(|error| format!("API_URL: {error}"))?;
    let api = Url::parse(&api).map_err(|error| format!("API_URL: {error}"))?;
    let customer = Customer { client, api };
    time::timeout(TIMEOUT, customer.offer_a_flat()).await??;
    telemetry.shutdown(Duration::from_secs(5))?;
    Ok(())
}

struct Customer<C> {
    client: C,
    api: Url,
}

impl<C> Customer<C>
where
    C: Service<Request, Response = reqwest::Response, Error: Into<BoxError>> + Clone,
{
    /// Signs up and adds a flat. Then, in one trace, requests a description from the model and the publication by a job.
    async fn offer_a_flat(self) -> Result<(), BoxError> {
        let credentials =
            json!({ "email": "customer@example.com", "password": "correct horse battery" });
        self.post("users", "", &credentials).await?;
        let token = self.post("login", "", &credentials).await?;
        let token = text(&token, "token")?;
        let flat = json!({ "title": "Flat with a balcony", "city": "Graz", "rent_cents": 90_000 });
        let flat = self.post("properties", token, &flat).await?;
        let flat = text(&flat, "id")?;
        let action = async {
            let path = format!("properties/{flat}/description");
            self.post(&path, token, &Value::Null).await?;
            let path = format!("properties/{flat}/listing");
            self.post(&path, token, &Value::Null).await
        };
        let job = action
            .instrument(tracing::info_span!("a customer offers a flat"))
            .await?;
        let path = format!("jobs/{}", text(&job, "job")?);
        while text(&self.send(Method::GET, &path, token, None).await?, "state")? != "done" {
            time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> Result<Value, BoxError> {
        self.send(Method::POST, path, token, Some(body)).await
    }

    /// Sends a request and returns the JSON of its response.
    async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<Value, BoxError> {
        let mut request = Client::new()
            .request(method, self.api.join(path)?)
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = self
            .client
            .clone()
            .oneshot(request.build()?)
            .await
            .map_err(Into::into)?;
        let status = response.status();
        let body = response.text().await?;
        if !status.is_success() {
            return Err(format!("{path}: {status}: {body}").into());
        }
        Ok(serde_json::from_str(&body)?)
    }
}

/// Returns a string of a JSON object.
fn text<'a>(object: &'a Value, name: &str) -> Result<&'a str, BoxError> {
    let text = object.get(name).and_then(Value::as_str);
    text.ok_or_else(|| format!("no {name} in {object}").into())
}
