//! A customer: signs up, signs in, and manages flats. A stranger or a thief now and then.

use reqwest::{Method, Response, Url, header};
use reqwest_middleware::ClientWithMiddleware;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Pace, Places, socket::Socket};

const CITIES: [&str; 3] = ["Graz", "Linz", "Wels"];
const PASSWORD: &str = "correct horse battery";

pub(crate) struct Customer {
    client: ClientWithMiddleware,
    places: Places,
    pace: Pace,
    city: &'static str,
    email: String,
    token: String,
    rounds: u32,
}

impl Customer {
    pub(crate) fn new(
        client: ClientWithMiddleware,
        places: Places,
        pace: Pace,
        number: usize,
    ) -> Self {
        Self {
            client,
            places,
            pace,
            city: CITIES.get(number % CITIES.len()).unwrap_or(&"Graz"),
            email: format!("{}@example.com", Uuid::now_v7().simple()),
            token: String::new(),
            rounds: 0,
        }
    }

    /// Round after round, until the time is over. Whatever fails, they come back.
    pub(crate) async fn live(mut self) {
        while self.sign_up().await.is_some() {
            if !self.token.is_empty() {
                break;
            }
        }
        let _socket = Socket::open(&self.places.api, &self.token);
        while self.round().await.is_some() {}
    }

    pub(crate) async fn sign_up(&mut self) -> Option<()> {
        let own = json!({ "email": self.email, "password": PASSWORD });
        self.send(Method::POST, "/users", Some(&own)).await?;
        let signed_in = self.send(Method::POST, "/login", Some(&own)).await?;
        if let Some(token) = text(signed_in, "/token").await {
            self.token = token;
        }
        Some(())
    }

    async fn round(&mut self) -> Option<()> {
        self.rounds += 1;
        let flat = self.flat();
        let added = self.send(Method::POST, "/properties", Some(&flat)).await?;
        let id = text(added, "/id").await.unwrap_or_default();
        let path = format!("/properties/{id}");
        let of = |what: &str| format!("{path}/{what}");

        self.send(Method::GET, "/properties", None).await?;
        self.send(Method::GET, &path, None).await?;
        self.send(Method::PUT, &path, Some(&flat)).await?;
        self.send(Method::POST, &of("description"), None).await?;
        self.send(Method::GET, &of("comparables"), None).await?;
        self.send(Method::POST, &of("listing"), None).await?;
        let queued = self.send(Method::POST, &of("statements"), None).await?;
        let job = text(queued, "/job").await.unwrap_or_default();

        self.look_for_a_flat(&id).await?;
        self.make_mistakes().await?;

        self.send(Method::GET, &format!("/jobs/{job}"), None)
            .await?;
        let document = format!("/documents/{job}");
        let document = self.send(Method::GET, &document, None).await?;
        if let Some(document) = document.filter(|_| !self.rounds.is_multiple_of(8)) {
            let _ = document.bytes().await;
        } // else it is closed unread
        if self.rounds.is_multiple_of(2) {
            self.send(Method::DELETE, &path, None).await?;
        }
        Some(())
    }

    /// A new flat's id.
    pub(crate) async fn add_flat(&self) -> Option<String> {
        let flat = self.flat();
        text(
            self.send(Method::POST, "/properties", Some(&flat)).await?,
            "/id",
        )
        .await
    }

    /// Has a flat described and published; the id of the job.
    pub(crate) async fn offer(&self, flat: &str) -> Option<String> {
        let path = |what: &str| format!("/properties/{flat}/{what}");
        self.send(Method::POST, &path("description"), None).await?;
        let queued = self.send(Method::POST, &path("listing"), None).await?;
        text(queued, "/job").await
    }

    /// What became of a job, as far as it is known.
    pub(crate) async fn job(&self, id: &str) -> Option<Option<String>> {
        let job = self.send(Method::GET, &format!("/jobs/{id}"), None).await?;
        Some(text(job, "/state").await)
    }

    fn flat(&self) -> Value {
        let rent = 50_000 + 2_500 * (self.rounds % 20);
        json!({ "title": "Flat with a balcony", "city": self.city, "rent_cents": rent })
    }

    /// As somebody without an account.
    async fn look_for_a_flat(&self, id: &str) -> Option<()> {
        for path in [
            format!("/listings?city={}&max_rent_cents=90000", self.city),
            "/search?q=balcony".to_owned(),
            format!("/listings/{id}"),
        ] {
            let url = self.places.reality.join(&path).ok()?;
            self.request(Method::GET, url, None, None).await?;
        }
        Some(())
    }

    /// As people do, and thieves.
    async fn make_mistakes(&self) -> Option<()> {
        let api = |path: &str| self.places.api.join(path).ok();
        let wrong = json!({ "email": self.email, "password": "a guess" });
        let unknown = json!({ "email": "nobody@example.com", "password": "a guess" });
        let senseless = json!({ "title": "" });
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
            _ => self.send(post, "/properties", Some(&senseless)).await,
        }?;
        Some(())
    }

    /// A request to the api-server, signed in. `None` when the time is over.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Option<Response>> {
        let url = self.places.api.join(path).ok()?;
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
        self.pace.turn().await?;
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            let json = (header::CONTENT_TYPE, "application/json");
            request = request.header(json.0, json.1).body(body.to_string());
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.ok();
        let status = response.as_ref().map_or(0, |own| own.status().as_u16());
        self.pace.count(status);
        Some(response)
    }
}

/// A text in the JSON of an answer.
async fn text(response: Option<Response>, at: &str) -> Option<String> {
    let body = response?.bytes().await.ok()?;
    let json: Value = serde_json::from_slice(&body).ok()?;
    Some(json.pointer(at)?.as_str()?.to_owned())
}
