//! The requests of a busy minute, in a second: good ones, bad ones, and clients that leave.

use std::{future::Future, time::Duration};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use tokio::time;

use crate::{BoxError, services::Services};

/// How long a client waits for anything here.
const PATIENCE: Duration = Duration::from_secs(20);

/// Of a trace that is not to be recorded.
const UNSAMPLED: &str = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-00";

/// Sends them all, over real sockets, by a client that knows nothing of telemetry. Returns how
/// many there were, once the services are done with them.
pub(crate) async fn drive(services: &Services) -> Result<usize, BoxError> {
    let mut shopper = Shopper {
        client: Client::builder().timeout(PATIENCE).build()?,
        services,
        sent: 0,
    };
    shopper.is_served().await?;
    shopper.leaves_before_the_answer().await?;
    shopper.leaves_during_the_answer().await?;
    shopper.orders().await?;
    shopper.until_in_flight(0).await?;
    shopper.order_that_is_traced().await?;
    shopper.until_in_flight(0).await?;
    Ok(shopper.sent)
}

struct Shopper<'a> {
    client: Client,
    services: &'a Services,
    sent: usize,
}

impl Shopper<'_> {
    async fn is_served(&mut self) -> Result<(), BoxError> {
        for _ in 0..5 {
            for sku in ["lamp", "chair", "desk", "sofa"] {
                self.get(&format!("/products/{sku}"), StatusCode::OK)
                    .await?;
            }
        }
        self.get("/products/unicorn", StatusCode::NOT_FOUND).await?;
        self.get("/products/broken", StatusCode::BAD_GATEWAY)
            .await?;
        self.get("/wp-login.php", StatusCode::NOT_FOUND).await?;
        self.get("/exports/12", StatusCode::OK).await
    }

    async fn orders(&mut self) -> Result<(), BoxError> {
        for sku in ["lamp", "chair", "desk"].iter().cycle().take(7) {
            let path = format!("/orders/{sku}");
            self.send(Method::POST, &path, StatusCode::CREATED).await?;
        }
        Ok(())
    }

    async fn order_that_is_traced(&mut self) -> Result<(), BoxError> {
        let url = self.services.shop("/orders/chair");
        self.answered(self.client.post(url), StatusCode::CREATED)
            .await
    }

    async fn leaves_before_the_answer(&mut self) -> Result<(), BoxError> {
        self.until_in_flight(0).await?;
        self.sent += 1;
        let report = self.unsampled(Method::GET, "/reports/2026");
        tokio::select! {
            _ = report.send() => Err("the report came too early".into()),
            // The request has arrived. To stop waiting for it closes its connection.
            arrived = self.until_in_flight(1) => arrived,
        }
    }

    async fn leaves_during_the_answer(&mut self) -> Result<(), BoxError> {
        self.sent += 1;
        let export = self.unsampled(Method::GET, "/exports/1000000");
        let mut response = export.send().await?;
        let first = response.chunk().await?;
        first.map(drop).ok_or_else(|| "the export is empty".into())
    }

    async fn get(&mut self, path: &str, wanted: StatusCode) -> Result<(), BoxError> {
        self.send(Method::GET, path, wanted).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        wanted: StatusCode,
    ) -> Result<(), BoxError> {
        let request = self.unsampled(method, path);
        self.answered(request, wanted).await
    }

    async fn answered(
        &mut self,
        request: RequestBuilder,
        wanted: StatusCode,
    ) -> Result<(), BoxError> {
        self.sent += 1;
        let response = request.send().await?;
        let (status, url) = (response.status(), response.url().clone());
        response.bytes().await?;
        if status == wanted {
            Ok(())
        } else {
            Err(format!("{url} answered {status}").into())
        }
    }

    fn unsampled(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.services.shop(path));
        request.header("traceparent", UNSAMPLED)
    }

    /// Waits until the services say that they are serving this many requests.
    fn until_in_flight(&self, wanted: u32) -> impl Future<Output = Result<(), BoxError>> + use<> {
        let (client, url) = (self.client.clone(), self.services.shop("/metrics"));
        let waiting = async move {
            loop {
                let metrics = client.get(&url).send().await?.text().await?;
                if crate::red::in_flight(&metrics) == f64::from(wanted) {
                    return Ok(());
                }
                time::sleep(Duration::from_millis(2)).await;
            }
        };
        async move {
            let waited = time::timeout(PATIENCE, waiting).await;
            waited.map_err(|_| format!("there never were {wanted} requests in flight"))?
        }
    }
}
