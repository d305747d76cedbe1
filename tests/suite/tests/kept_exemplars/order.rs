//! A kept trace is an exemplar if the layers are in the right order.

use std::time::Duration;

use http::Method;
use tower_otel_recorder::Keep;

use crate::setup::{BACKENDS, Order, Setup, WITH_EXEMPLARS, WITHOUT_EXEMPLARS, request};

#[test]
fn a_kept_trace_is_an_exemplar_however_its_request_ends() {
    let slow = || Keep::default().slower_than(Duration::from_nanos(1));
    for backend in BACKENDS {
        for order in WITH_EXEMPLARS {
            for (method, action, rules) in [
                (Method::GET, "fails", Keep::errors()),
                (Method::GET, "fails-empty", Keep::errors()),
                (Method::GET, "called", Keep::errors()),
                (Method::GET, "good", slow()),
                (Method::GET, "marked", Keep::default()),
                (Method::GET, "pending", Keep::errors()),
                (Method::GET, "panics", Keep::errors()),
                (Method::GET, "error", Keep::errors()),
                (Method::GET, "endless", Keep::errors()),
                (Method::GET, "body-fails", Keep::errors()),
                (Method::GET, "body-panics", Keep::errors()),
                (Method::POST, "shop.Cart/Fail", Keep::errors()),
                (Method::POST, "shop.Cart/Get", slow()),
            ] {
                let case = format!("{backend:?} {order:?} {action}");
                let setup = Setup::new(backend, rules);
                setup.send(order, [request(&method, action)]);
                let exported = setup.exported();
                assert_eq!(exported.len(), 1, "{case}");
                assert_eq!(setup.exemplars(), exported, "{case}");
            }
        }
    }
}

#[test]
fn a_trace_that_is_not_kept_is_no_exemplar() {
    for backend in BACKENDS {
        for order in WITH_EXEMPLARS.into_iter().chain(WITHOUT_EXEMPLARS) {
            for (method, action) in [(Method::GET, "good"), (Method::POST, "shop.Cart/Get")] {
                let case = format!("{backend:?} {order:?} {action}");
                let setup = Setup::new(backend, Keep::errors());
                setup.send(order, [request(&method, action)]);
                assert_eq!(setup.exported().len(), 0, "{case}");
                assert_eq!(setup.exemplars().len(), 0, "{case}");
            }
        }
    }
}

#[test]
fn in_other_orders_a_kept_trace_is_no_exemplar() {
    for backend in BACKENDS {
        for order in WITHOUT_EXEMPLARS {
            for action in ["fails", "called", "pending", "panics", "endless"] {
                let case = format!("{backend:?} {order:?} {action}");
                let setup = Setup::new(backend, Keep::errors());
                setup.send(order, [request(&Method::GET, action)]);
                assert_eq!(setup.exported().len(), 1, "{case}");
                assert_eq!(setup.exemplars().len(), 0, "{case}");
            }
        }
    }
}

#[test]
fn an_observer_of_the_application_ends_inside_the_open_span_of_a_kept_trace() {
    for backend in BACKENDS {
        for order in [Order::TraceMetricsCustom, Order::TraceCustomMetrics] {
            let setup = Setup::new(backend, Keep::errors());
            setup.send(order, [request(&Method::GET, "fails")]);
            setup.exported();
            let spans = setup.spans.get_finished_spans().unwrap();
            let keys = spans[0].attributes.iter().map(|attribute| &attribute.key);
            let is_annotated = { keys }.any(|key| key.as_str() == "shop.annotated");
            assert!(is_annotated, "{backend:?} {order:?}");
        }
    }
}
