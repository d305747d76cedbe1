//! Traces of calls, clients and jobs are kept.

use std::sync::Arc;

use http::Request;
use http_body_util::{BodyExt, Empty};
use opentelemetry::{
    Context,
    trace::{Status, TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode as SpanStatus;
use suite_tests::{
    grpc_calls,
    grpc_service::{CartService, StringCodec},
    net::{Http, pooled_client, refusing_address},
};
use tokio::sync::Notify;
use tonic::transport::{Endpoint, Server};
use tower::{ServiceBuilder, ServiceExt};
use tower_otel_recorder::{Keep, RecorderSpanExt};
use tower_otel_trace::TraceLayer;

use crate::setup::{BACKENDS, Backend, Setup, reason};

#[tokio::test]
async fn a_failing_grpc_call_is_kept_on_both_ends_and_a_good_one_is_not() {
    for backend in BACKENDS {
        let setup = Setup::new(backend, Keep::errors()).await;
        let (to, incoming) = grpc_calls::listen().await;
        tokio::spawn(
            Server::builder()
                .layer(setup.layer(TraceLayer::server().grpc()))
                .add_service(CartService::default())
                .serve_with_incoming(incoming),
        );
        let uri = format!("http://{to}");
        let channel = Endpoint::new(uri.clone()).unwrap().connect_lazy();
        let service = ServiceBuilder::new()
            .layer(setup.layer(TraceLayer::client().grpc()))
            .layer(tower_otel_propagate::PropagateLayer::new())
            .service(channel);
        let mut client = tonic::client::Grpc::with_origin(service, uri.parse().unwrap());
        for message in ["ok", "13", "ok"] {
            client.ready().await.unwrap();
            let request = tonic::Request::new(message.to_owned());
            let path = grpc_calls::path("Unary");
            let _ = client
                .unary::<String, String, _>(request, path, StringCodec)
                .await;
        }
        let traces = setup.wait_for(1).await;
        assert_eq!(traces.len(), 1, "{backend:?}: {traces:#?}");
        let spans = &traces[0];
        assert_eq!(spans.len(), 2, "{backend:?}: {spans:#?}");
        for span in spans {
            assert_eq!(span.name, "shop.Cart/Unary");
            assert_eq!(reason(span), "error");
        }
    }
}

#[tokio::test]
async fn a_failing_client_without_a_server_is_kept() {
    for backend in BACKENDS {
        let setup = Setup::new(backend, Keep::errors()).await;
        let to = setup.serve().await;
        let (_socket, refusing) = refusing_address();
        let client = ServiceBuilder::new()
            .layer(setup.layer(TraceLayer::client()))
            .service(pooled_client(Http::One));
        for (address, action) in [(to, "good"), (refusing, "good")] {
            let request = Request::get(format!("http://{address}/{action}"));
            let request = request.body(Empty::<bytes::Bytes>::new()).unwrap();
            if let Ok(response) = client.clone().oneshot(request).await {
                response.into_body().collect().await.unwrap();
            }
        }
        let traces = setup.traces().await;
        assert_eq!(traces.len(), 1, "{backend:?}: {traces:#?}");
        assert_eq!(traces[0][0].name, "GET");
        assert_eq!(reason(&traces[0][0]), "error");
    }
}

#[tokio::test]
async fn a_failing_job_is_kept_with_the_tasks_that_it_has_spawned() {
    let setup = Setup::new(Backend::Tracing, Keep::errors()).await;
    for fails in [false, true] {
        let job = tracing::info_span!("job");
        let context = job.context();
        let done = Arc::new(Notify::new());
        let notified = Arc::clone(&done);
        let tracer = setup.recorder.tracer_provider().tracer("jobs");
        let task = tokio::spawn(async move {
            let span = tracer.start_with_context("task", &context);
            let context = Context::new().with_span(span);
            notified.notified().await;
            drop(context);
        });
        job.in_scope(|| tracing::info!("started"));
        if fails {
            job.set_status(Status::error("no paper"));
        }
        done.notify_one();
        task.await.unwrap();
        drop(job);
    }
    let traces = setup.traces().await;
    assert_eq!(traces.len(), 1, "{traces:#?}");
    let mut names: Vec<_> = traces[0].iter().map(|span| &*span.name).collect();
    names.sort_unstable();
    assert_eq!(names, ["job", "task"]);
    let job = traces[0].iter().find(|span| span.name == "job").unwrap();
    assert_eq!(job.events.len(), 1);
    assert_eq!(job.status.as_ref().unwrap().code(), SpanStatus::Error);
}
