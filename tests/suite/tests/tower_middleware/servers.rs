//! Servers with middleware around and inside of the layers.

use hyper::body::Incoming;
use suite_tests::{
    backend::Backend,
    net::{Http, pooled_client, serve},
};
use tokio::task::LocalSet;
use tower::service_fn;

use crate::{
    clients::{respond, send_all},
    stack::{ALL, Observed, Stack, boxed},
};

#[tokio::test]
async fn servers_with_middleware_around_and_inside() {
    LocalSet::new()
        .run_until(async {
            for http in [Http::One, Http::Two] {
                for backend in Backend::ALL {
                    for middleware in ALL {
                        for is_inside in [false, true] {
                            let observed = Observed::new(backend);
                            let handler: Stack<Incoming> = boxed(service_fn(respond::<Incoming>));
                            let server = if is_inside {
                                observed.server(middleware.around(handler))
                            } else {
                                middleware.around(observed.server(handler))
                            };
                            let to = serve(server).await;
                            send_all(pooled_client(http), to).await;
                            let case =
                                format!("{middleware:?} inside {is_inside} {backend:?} {http:?}");
                            observed.assert_each_ended_once("http_", &case).await;
                        }
                    }
                }
            }
        })
        .await;
}
