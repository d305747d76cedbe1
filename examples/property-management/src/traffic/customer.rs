//! A simulated customer: signs up, logs in and manages flats. Also sends anonymous and invalid
//! requests.

use reqwest::{Method, Response, Url, header};
use reqwest_middleware::ClientWithMiddleware;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Pacer, ServiceUrls, socket::Socket};

const CITIES: [&str; 3] = ["Graz", "Linz", "Wels"];
const PASSWORD: &str = "correct horse battery";

pub(crate) struct Customer {
    client: ClientWithMiddleware,
    urls: ServiceUrls,
    pacer: Pacer,
    city: &'static str,
    email: String,
    token: String,
    rounds: u32,
}

impl Customer {
    pub(crate) fn new(
        client: ClientWithMiddleware,
        urls: ServiceUrls,
        pacer: Pacer,
        number: usize,
    ) -> Self {
        Self {
            client,
            urls,
            pacer,
            city: CITIES.get(number % CITIES.len()).unwrap_or(&"Graz"),
            email: format!("{}@example.com", Uuid::now_v7().simple()),
            token: String::new(),
            rounds: 0,
        }
    }

    /// Sends rounds of requests until the time is over. Failed requests are ignored.
    pub(crate) async fn run(mut self) {
        while self.sign_up().await.is_some() {
            if !self.token.is_empty() {
                break;
            }
        }
        let _socket = Socket::open(&self.urls.api, &self.token);
        while self.run_round().await.is_some() {}
    }

    pub(crate) async fn sign_up(&mut self) -> Option<()> {
        let credentials = json!({ "email": self.email, "password": PASSWORD });
        self.send(Method::POST, "/users", Some(&credentials))
            .await?;
        let login = self
            .send(Method::POST, "/login", Some(&credentials))
            .await?;
        if let Some(token) = json_text(login, "/token").await {
            self.token = token;
        }
        Some(())
    }

    async fn run_round(&mut self) -> Option<()> {
        self.rounds += 1;
        let flat = self.flat();
        let added = self.send(Method::POST, "/properties", Some(&flat)).await?;
        let id = json_text(added, "/id").await.unwrap_or_default();
        let path = format!("/properties/{id}");
        let sub_path = |name: &str| format!("{path}/{name}");

        self.send(Method::GET, "/properties", None).await?;
        self.send(Method::GET, &path, None).await?;
        self.send(Method::PUT, &path, Some(&flat)).await?;
        self.send(Method::POST, &sub_path("description"), None)
            .await?;
        self.send(Method::GET, &sub_path("comparables"), None)
            .await?;
        self.send(Method::POST, &sub_path("listing"), None).await?;
        let queued = self
            .send(Method::POST, &sub_path("statements"), None)
            .await?;
        let job = json_text(queued, "/job").await.unwrap_or_default();

        self.search_listings(&id).await?;
        self.send_invalid_request().await?;

        self.send(Method::GET, &format!("/jobs/{job}"), None)
            .await?;
        let document = format!("/documents/{job}");
        let document = self.send(Method::GET, &document, None).await?;
        if let Some(document) = document.filter(|_| !self.rounds.is_multiple_of(8)) {
            let _ = document.bytes().await;
        } // else the body is dropped unread
        if self.rounds.is_multiple_of(2) {
            self.send(Method::DELETE, &path, None).await?;
        }
        Some(())
    }

    /// Adds a flat and returns its id.
    pub(crate) async fn add_flat(&self) -> Option<String> {
        let flat = self.flat();
        json_text(
            self.send(Method::POST, "/properties", Some(&flat)).await?,
            "/id",
        )
        .await
    }

    /// Requests a description and the publication of a flat. Returns the id of the publication job.
    pub(crate) async fn describe_and_publish(&self, flat: &str) -> Option<String> {
        let path = |name: &str| format!("/properties/{flat}/{name}");
        self.send(Method::POST, &path("description"), None).await?;
        let queued = self.send(Method::POST, &path("listing"), None).await?;
        json_text(queued, "/job").await
    }

    /// Returns the state of a job. The inner value is `None` if the state is not known.
    pub(crate) async fn job_state(&self, id: &str) -> Option<Option<String>> {
        let job = self.send(Method::GET, &format!("/jobs/{id}"), None).await?;
        Some(json_text(job, "/state").await)
    }

    fn flat(&self) -> Value {
        let rent = 50_000 + 2_500 * (self.rounds % 20);
        json!({ "title": "Flat with a balcony", "city": self.city, "rent_cents": rent })
    }

    /// Sends requests without a token.
    async fn search_listings(&self, id: &str) -> Option<()> {
        for path in [
            format!("/listings?city={}&max_rent_cents=90000", self.city),
            "/search?q=balcony".to_owned(),
            format!("/listings/{id}"),
        ] {
            let url = self.urls.reality.join(&path).ok()?;
            self.request(Method::GET, url, None, None).await?;
        }
        Some(())
    }

    /// Sends a request that fails with a 4xx status.
    async fn send_invalid_request(&self) -> Option<()> {
        let api = |path: &str| self.urls.api.join(path).ok();
        let wrong = json!({ "email": self.email, "password": "a guess" });
        let unknown = json!({ "email": "unknown@example.com", "password": "a guess" });
        let invalid = json!({ "title": "" });
        let (get, post) = (Method::GET, Method::POST);
        match self.rounds % 6 {
            0 => self.request(post, api("/login")?, Some(&wrong), None).await,
            1 => {
                self.request(post, api("/login")?, Some(&unknown), None)
                    .await
            }
            2 => self.request(get, api("/properties")?, None, None).await,
            3 => {
                self.request(get, api("/properties")?, None, Some("x.y.z"))
                    .await
            }
            4 => self.request(get, api("/wp-admin.php")?, None, None).await,
            _ => self.send(post, "/properties", Some(&invalid)).await,
        }?;
        Some(())
    }

    /// Sends an authenticated request to the api-server. Returns `None` when the time is over.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Option<Response>> {
        let url = self.urls.api.join(path).ok()?;
        let token = Some(&*self.token).filter(|token| !token.is_empty());
        self.request(method, url, body, token).await
    }

    async fn request(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
        token: Option<&str>,
    ) -> Option<Option<Response>> {
        self.pacer.wait().await?;
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_string());
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.ok();
        let status = response
            .as_ref()
            .map_or(0, |response| response.status().as_u16());
        self.pacer.count(status);
        Some(response)
    }
}

/// Returns a string of a JSON response.
async fn json_text(response: Option<Response>, pointer: &str) -> Option<String> {
    let body = response?.bytes().await.ok()?;
    let json: Value = serde_json::from_slice(&body).ok()?;
    Some(json.pointer(pointer)?.as_str()?.to_owned())
}
