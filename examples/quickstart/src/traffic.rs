//! Sends requests to the shop: successes, errors, and clients that disconnect.

use std::{future::Future, time::Duration};

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use tokio::time;

use crate::{BoxError, services::Services};

/// The time limit of each request and each wait.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Sends all requests with a client without telemetry. Waits until none is in flight, and returns their number.
pub(crate) async fn send_requests(services: &Services) -> Result<usize, BoxError> {
    let mut traffic = Traffic {
        client: Client::builder().timeout(TIMEOUT).build()?,
        services,
        sent: 0,
    };
    traffic.products_and_exports().await?;
    traffic.disconnect_before_response().await?;
    traffic.disconnect_during_body().await?;
    traffic.orders().await?;
    traffic.wait_for_in_flight(0).await?;
    traffic.sampled_order().await?;
    traffic.wait_for_in_flight(0).await?;
    Ok(traffic.sent)
}

struct Traffic<'a> {
    client: Client,
    services: &'a Services,
    sent: usize,
}

impl Traffic<'_> {
    async fn products_and_exports(&mut self) -> Result<(), BoxError> {
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

    async fn sampled_order(&mut self) -> Result<(), BoxError> {
        let url = self.services.shop("/orders/chair");
        self.send_expecting(self.client.post(url), StatusCode::CREATED)
            .await
    }

    async fn disconnect_before_response(&mut self) -> Result<(), BoxError> {
        self.wait_for_in_flight(0).await?;
        let report = self.unsampled(Method::GET, "/reports/2026");
        self.sent += 1;
        tokio::select! {
            _ = report.send() => Err("the report ended before the client disconnected".into()),
            // The request is being served. Dropping its future closes the connection.
            in_flight = self.wait_for_in_flight(1) => in_flight,
        }
    }

    async fn disconnect_during_body(&mut self) -> Result<(), BoxError> {
        let export = self.unsampled(Method::GET, "/exports/1000000");
        self.sent += 1;
        let mut response = export.send().await?;
        let chunk = response.chunk().await?;
        chunk.map(drop).ok_or_else(|| "the export is empty".into())
    }

    async fn get(&mut self, path: &str, expected: StatusCode) -> Result<(), BoxError> {
        self.send(Method::GET, path, expected).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        expected: StatusCode,
    ) -> Result<(), BoxError> {
        let request = self.unsampled(method, path);
        self.send_expecting(request, expected).await
    }

    async fn send_expecting(
        &mut self,
        request: RequestBuilder,
        expected: StatusCode,
    ) -> Result<(), BoxError> {
        self.sent += 1;
        let response = request.send().await?;
        let (status, url) = (response.status(), response.url().clone());
        response.bytes().await?;
        if status == expected {
            Ok(())
        } else {
            Err(format!("{url}: status {status} (expected {expected})").into())
        }
    }

    fn unsampled(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, self.services.shop(path));
        // Each request has its own trace, which is not sampled. The factor is odd, so the trace ids differ.
        const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        let trace = FACTOR.wrapping_mul(self.sent as u128 + 1);
        request.header(
            "traceparent",
            format!("00-{trace:032x}-0123456789abcdef-00"),
        )
    }

    /// Waits until `/metrics` shows this many requests in flight.
    fn wait_for_in_flight(
        &self,
        expected: u32,
    ) -> impl Future<Output = Result<(), BoxError>> + use<> {
        let (client, url) = (self.client.clone(), self.services.shop("/metrics"));
        let poll = async move {
            loop {
                let metrics = client.get(&url).send().await?.text().await?;
                if crate::red::in_flight(&metrics) == f64::from(expected) {
                    return Ok(());
                }
                time::sleep(Duration::from_millis(2)).await;
            }
        };
        async move {
            let result = time::timeout(TIMEOUT, poll).await;
            result.map_err(|_| format!("{expected} requests in flight not seen in {TIMEOUT:?}"))?
        }
    }
}
