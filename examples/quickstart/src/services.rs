//! Two services on loopback: a shop, and the stock service that it calls.

use std::{future::IntoFuture, net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{Method, StatusCode},
    routing::{get, post},
};
use reqwest::{Request, Response, Url};
use tokio::{net::TcpListener, time};
use tokio_stream::StreamExt;
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneSyncService};
use tower_otel_metrics::MetricsLayer;
use tower_otel_prometheus::Prometheus;
use tower_otel_propagate::PropagateLayer;
use tower_otel_trace::TraceLayer;
use tracing::instrument;

use crate::BoxError;

/// Adds the server layers. The metrics layer is outermost, so that all server spans have ended when no request is in
/// flight.
fn with_layers(router: Router) -> Router {
    router.layer(
        ServiceBuilder::new()
            .layer(MetricsLayer::server())
            .layer(TraceLayer::server()),
    )
}

/// Returns a client with the client layers. It is boxed, so that its type does not contain the types of the layers. It resolves
/// the host `stock` to the stock service.
fn stock_client(stock: SocketAddr) -> Result<Client, BoxError> {
    let client = reqwest::Client::builder().resolve("stock", stock).build()?;
    let client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(MetricsLayer::client())
        .layer(PropagateLayer::new())
        .service(client);
    Ok(BoxCloneSyncService::new(client))
}

type Client = BoxCloneSyncService<Request, Response, reqwest::Error>;

/// The addresses of both services.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Services {
    shop: SocketAddr,
    stock: SocketAddr,
}

impl Services {
    /// Starts both services. `port` is the port of the shop. 0 selects a free port.
    pub(crate) async fn start(port: u16, prometheus: &Prometheus) -> Result<Self, BoxError> {
        let listen = async |port| {
            let listener = TcpListener::bind(("127.0.0.1", port)).await;
            listener.map_err(|error| format!("cannot listen on 127.0.0.1:{port}: {error}"))
        };
        let (shop, stock) = (listen(port).await?, listen(0).await?);
        let services = Self {
            shop: shop.local_addr()?,
            stock: stock.local_addr()?,
        };
        // Routes added after the layers are not observed.
        let shop_router = with_layers(shop_router(services.stock)?)
            .route_service("/metrics", prometheus.service());
        tokio::spawn(axum::serve(shop, shop_router).into_future());
        tokio::spawn(axum::serve(stock, with_layers(stock_router())).into_future());
        Ok(services)
    }

    /// Returns a URL of the shop.
    pub(crate) fn shop(&self, path: &str) -> String {
        format!("http://{}{path}", self.shop)
    }

    /// Lists the URLs of the services.
    pub(crate) fn summary(&self) -> String {
        [
            ("shop", self.shop(""), "calls the stock service"),
            (
                "stock",
                format!("http://{}", self.stock),
                "calls no other service",
            ),
            (
                "metrics",
                self.shop("/metrics"),
                "of both services, for Prometheus",
            ),
        ]
        .map(|(name, url, note)| format!("{name:<8} {url:<32}  {note}\n"))
        .concat()
    }

    /// Describes what to try while the services run.
    pub(crate) fn next_steps(&self) -> String {
        format!(
            "\nStill serving. Let Prometheus scrape {}, or send a request\n\
             to see its trace here. Ctrl-C stops the services.\n\n  curl -X POST {}\n\n",
            self.shop("/metrics"),
            self.shop("/orders/sofa"),
        )
    }
}

#[derive(Clone)]
struct Shop {
    client: Client,
    items: Url,
}

fn shop_router(stock: SocketAddr) -> Result<Router, BoxError> {
    let shop = Shop {
        client: stock_client(stock)?,
        items: Url::parse(&format!("http://stock:{}/items", stock.port()))?,
    };
    Ok(Router::new()
        .route("/products/{sku}", get(get_product))
        .route("/orders/{sku}", post(create_order))
        .route("/exports/{lines}", get(get_export))
        .route("/reports/{year}", get(get_report))
        .with_state(shop))
}

async fn get_product(
    State(shop): State<Shop>,
    Path(sku): Path<String>,
) -> Result<String, StatusCode> {
    shop.offer(&sku).await
}

async fn create_order(
    State(shop): State<Shop>,
    Path(sku): Path<String>,
) -> Result<(StatusCode, String), StatusCode> {
    let offer = shop.offer(&sku).await?;
    shop.call_stock(Method::POST, &sku).await?;
    charge_card().await;
    Ok((StatusCode::CREATED, format!("ordered: {offer}")))
}

/// Streams a line every 20 milliseconds, so that the body takes longer than the head.
async fn get_export(Path(lines): Path<u32>) -> Body {
    let lines = tokio_stream::iter(1..=lines).map(|line| Ok::<_, BoxError>(format!("{line}\n")));
    Body::from_stream(lines.throttle(Duration::from_millis(20)))
}

/// Responds later than any client waits.
async fn get_report(Path(year): Path<u16>) -> String {
    time::sleep(Duration::from_secs(60)).await;
    format!("{year} was a good year\n")
}

impl Shop {
    /// Looks up price and stock concurrently.
    #[instrument(name = "offer", skip(self))]
    async fn offer(&self, sku: &str) -> Result<String, StatusCode> {
        let (price, left) = tokio::join!(look_up_price(sku), self.call_stock(Method::GET, sku));
        Ok(format!("{sku} at {price} euros, {}", left?))
    }

    /// Calls the stock service through the client layers.
    async fn call_stock(&self, method: Method, sku: &str) -> Result<String, StatusCode> {
        let mut url = self.items.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(sku);
        }
        let response = self.client.clone().oneshot(Request::new(method, url));
        let response = response.await.map_err(|_| StatusCode::BAD_GATEWAY)?;
        let status = response.status();
        let text = response.text().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
        match status {
            StatusCode::NOT_FOUND => Err(StatusCode::NOT_FOUND),
            status if status.is_success() => Ok(text),
            _ => Err(StatusCode::BAD_GATEWAY),
        }
    }
}

#[instrument(name = "price lookup")]
async fn look_up_price(sku: &str) -> usize {
    time::sleep(Duration::from_millis(3)).await;
    19 + 10 * sku.len()
}

#[instrument(name = "charge card")]
async fn charge_card() {
    time::sleep(Duration::from_millis(9)).await;
}

fn stock_router() -> Router {
    Router::new().route("/items/{sku}", get(get_item).post(reserve_item))
}

async fn get_item(Path(sku): Path<String>) -> Result<String, StatusCode> {
    let left = read_shelf(&sku).await?;
    Ok(format!("{left} left\n"))
}

async fn reserve_item(Path(sku): Path<String>) -> Result<StatusCode, StatusCode> {
    read_shelf(&sku).await?;
    Ok(StatusCode::CREATED)
}

/// Simulates a database query. `sofa` is slow, and `broken` fails.
#[instrument(name = "read shelf")]
async fn read_shelf(sku: &str) -> Result<u32, StatusCode> {
    let (left, millis) = match sku {
        "lamp" => (7, 4),
        "chair" => (12, 6),
        "desk" => (3, 11),
        "sofa" => (1, 80),
        "broken" => return Err(StatusCode::INTERNAL_SERVER_ERROR),
        _ => return Err(StatusCode::NOT_FOUND),
    };
    time::sleep(Duration::from_millis(millis)).await;
    Ok(left)
}
