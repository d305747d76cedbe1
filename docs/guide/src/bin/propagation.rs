//! A trace through two services, a thread, a channel and a queue: `cargo run -p guide --bin propagation`.

use std::{collections::BTreeMap, future::IntoFuture, sync::mpsc, thread};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use opentelemetry::Context;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};
use tokio::{net::TcpListener, task::spawn_blocking};
use tower_otel_init::{
    PropagateLayer, Telemetry, TraceLayer, WithContext, context_from_map, context_to_map,
    in_current_context, observe,
};

type Message = BTreeMap<String, String>;

#[derive(Clone)]
struct Shop {
    client: ClientWithMiddleware,
    stock: String,
    shipments: mpsc::Sender<WithContext<&'static str>>,
    queue: mpsc::Sender<Message>,
}

fn failed<E>(_: E) -> StatusCode {
    StatusCode::BAD_GATEWAY
}

async fn order(State(shop): State<Shop>) -> Result<String, StatusCode> {
    // Another service: `PropagateLayer` writes the header `traceparent`.
    let response = shop.client.get(&shop.stock).send().await.map_err(failed)?;
    let left = response.text().await.map_err(failed)?;

    // A blocking task.
    let print = || tracing::info_span!("print invoice").in_scope(|| 19);
    let price = spawn_blocking(in_current_context(print)).await;
    let price = price.map_err(failed)?;

    // A channel. The receiver calls `run`.
    let shipment = WithContext::current("lamp");
    shop.shipments.send(shipment).map_err(failed)?;

    // A message of a queue, or a row of a database.
    let message = context_to_map(&Context::current());
    shop.queue.send(message).map_err(failed)?;
    Ok(format!("{left}, for {price} euros"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _telemetry = Telemetry::from_env("shop")?;
    let client = observe((TraceLayer::client(), PropagateLayer::new()));
    let client = ClientBuilder::new(reqwest::Client::new()).with(client.into_middleware());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let ((shipments, shipped), (queue, queued)) = (mpsc::channel(), mpsc::channel());
    let shop = Shop {
        client: client.build(),
        stock: format!("{url}/stock"),
        shipments,
        queue,
    };
    let app = Router::new()
        .route("/stock", get(|| async { "7 left" }))
        .route("/order", get(order))
        .layer(TraceLayer::server())
        .with_state(shop);
    tokio::spawn(axum::serve(listener, app).into_future());
    println!(
        "{}",
        reqwest::get(format!("{url}/order")).await?.text().await?
    );

    let worker = thread::spawn(move || {
        if let Ok(shipment) = shipped.recv() {
            shipment.run(|sku| tracing::info_span!("ship", sku).in_scope(|| {}));
        }
        // The other side of the queue continues the trace.
        let parent = queued.recv().ok();
        let parent = parent.and_then(|message| context_from_map(message, &Context::new()));
        if let Some(parent) = parent {
            WithContext::new(parent, ()).run(|()| tracing::info_span!("send mail").in_scope(|| {}));
        }
    });
    worker.join().map_err(|_| "the worker panicked")?;
    Ok(())
}
