//! Two services on loopback: a shop, and the stock it asks.

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

/// The server side of the suite. What is inside ends first: where no request is in flight any more,
/// all spans have ended.
fn observed(router: Router) -> Router {
    router.layer(
        ServiceBuilder::new()
            .layer(MetricsLayer::server())
            .layer(TraceLayer::server()),
    )
}

/// The client side of the suite, its layers out of sight of whoever keeps it. It knows where the
/// host `stock` is.
fn client(stock: SocketAddr) -> Result<Client, BoxError> {
    let client = reqwest::Client::builder().resolve("stock", stock).build()?;
    let client = ServiceBuilder::new()
        .layer(TraceLayer::client())
        .layer(MetricsLayer::client())
        .layer(PropagateLayer::new())
        .service(client);
    Ok(BoxCloneSyncService::new(client))
}

type Client = BoxCloneSyncService<Request, Response, reqwest::Error>;

/// Both services, and where they listen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Services {
    shop: SocketAddr,
    stock: SocketAddr,
}

impl Services {
    /// `port` is the shop's, 0 for any.
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
        // What is added after the layers is not observed.
        let shop_router =
            observed(shop_router(services.stock)?).route_service("/metrics", prometheus.service());
        tokio::spawn(axum::serve(shop, shop_router).into_future());
        tokio::spawn(axum::serve(stock, observed(stock_router())).into_future());
        Ok(services)
    }

    /// An address of the shop.
    pub(crate) fn shop(&self, path: &str) -> String {
        format!("http://{}{path}", self.shop)
    }

    /// What is running, and what there is to read.
    pub(crate) fn describe(&self) -> String {
        [
            ("shop", self.shop(""), "asks the stock"),
            ("stock", format!("http://{}", self.stock), "asks nobody"),
            (
                "metrics",
                self.shop("/metrics"),
                "of both, as Prometheus reads them",
            ),
        ]
        .map(|(name, url, what)| format!("{name:<8} {url:<32}  {what}\n"))
        .concat()
    }

    /// What to do next.
    pub(crate) fn invite(&self) -> String {
        format!(
            "\nStill serving. Try this, and see its trace here, or let Prometheus scrape {};\n\
             Ctrl-C ends it.\n\n  curl -X POST {}\n\n",
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
        client: client(stock)?,
        items: Url::parse(&format!("http://stock:{}/items", stock.port()))?,
    };
    Ok(Router::new()
        .route("/products/{sku}", get(product))
        .route("/orders/{sku}", post(order))
        .route("/exports/{lines}", get(export))
        .route("/reports/{year}", get(report))
        .with_state(shop))
}

async fn product(State(shop): State<Shop>, Path(sku): Path<String>) -> Result<String, StatusCode> {
    shop.offer(&sku).await
}

async fn order(
    State(shop): State<Shop>,
    Path(sku): Path<String>,
) -> Result<(StatusCode, String), StatusCode> {
    let offer = shop.offer(&sku).await?;
    shop.ask(Method::POST, &sku).await?;
    charge().await;
    Ok((StatusCode::CREATED, format!("ordered: {offer}")))
}

/// A line every 20 milliseconds, so that the body takes far longer than the head.
async fn export(Path(lines): Path<u32>) -> Body {
    let lines = tokio_stream::iter(1..=lines).map(|line| Ok::<_, BoxError>(format!("{line}\n")));
    Body::from_stream(lines.throttle(Duration::from_millis(20)))
}

/// Takes longer than anybody waits.
async fn report(Path(year): Path<u16>) -> String {
    time::sleep(Duration::from_secs(60)).await;
    format!("{year} was a good year\n")
}

impl Shop {
    /// Price and stock, looked up at the same time.
    #[instrument(name = "offer", skip(self))]
    async fn offer(&self, sku: &str) -> Result<String, StatusCode> {
        let (price, left) = tokio::join!(price(sku), self.ask(Method::GET, sku));
        Ok(format!("{sku} at {price} euros, {}", left?))
    }

    /// Asks the stock, through the client's layers.
    async fn ask(&self, method: Method, sku: &str) -> Result<String, StatusCode> {
        let mut url = self.items.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(sku);
        }
        let answer = self.client.clone().oneshot(Request::new(method, url));
        let answer = answer.await.map_err(|_| StatusCode::BAD_GATEWAY)?;
        let status = answer.status();
        let text = answer.text().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
        match status {
            StatusCode::NOT_FOUND => Err(StatusCode::NOT_FOUND),
            status if status.is_success() => Ok(text),
            _ => Err(StatusCode::BAD_GATEWAY),
        }
    }
}

#[instrument(name = "price lookup")]
async fn price(sku: &str) -> usize {
    time::sleep(Duration::from_millis(3)).await;
    19 + 10 * sku.len()
}

#[instrument(name = "charge card")]
async fn charge() {
    time::sleep(Duration::from_millis(9)).await;
}

fn stock_router() -> Router {
    Router::new().route("/items/{sku}", get(item).post(reserve))
}

async fn item(Path(sku): Path<String>) -> Result<String, StatusCode> {
    let left = look(&sku).await?;
    Ok(format!("{left} left\n"))
}

async fn reserve(Path(sku): Path<String>) -> Result<StatusCode, StatusCode> {
    look(&sku).await?;
    Ok(StatusCode::CREATED)
}

/// A database, with one thing far at the back and one on a broken shelf.
#[instrument(name = "read shelf")]
async fn look(sku: &str) -> Result<u32, StatusCode> {
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
