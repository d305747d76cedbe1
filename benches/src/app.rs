//! The measured application and its requests.

use axum::{Router, body::Body, extract::Path, routing::get};
use http::{HeaderMap, Request, StatusCode};

/// The default route.
pub const ROUTE: &str = "/users/{id}";

async fn user(Path(_id): Path<u32>) -> &'static str {
    "hello"
}

/// Creates an application with a minimal handler and a route with a parameter.
pub fn hello() -> Router {
    Router::new().route(ROUTE, get(user))
}

/// Creates an application with many routes, including that of [`hello`].
pub fn with_routes(routes: usize) -> Router {
    (1..routes).fold(hello(), |app, route| {
        app.route(&format!("/of/{route}/{{id}}"), get(user))
    })
}

/// Creates an application with many routes that responds with the status in `x-status`.
pub fn with_any_status(routes: usize) -> Router {
    async fn respond(headers: HeaderMap) -> StatusCode {
        let status = headers.get("x-status").map(http::HeaderValue::as_bytes);
        status
            .and_then(|status| StatusCode::from_bytes(status).ok())
            .unwrap_or_default()
    }
    (1..routes).fold(hello(), |app, route| {
        app.route(&format!("/of/{route}/{{id}}"), get(respond))
    })
}

/// Returns the path of the n-th request to an application with this number of routes.
pub fn path(routes: usize, at: usize) -> String {
    match at % routes {
        0 => "/users/7".to_owned(),
        route => format!("/of/{route}/7"),
    }
}

/// Returns a random sampled `traceparent`.
pub fn traceparent() -> String {
    let (trace, span) = (fastrand::u128(1..), fastrand::u64(1..));
    format!("00-{trace:032x}-{span:016x}-01")
}

/// Creates a server request, as hyper passes it to a service.
pub fn request(path: &str) -> Request<Body> {
    Request::get(path)
        .header("host", "shop.example:8080")
        .header("user-agent", "bench/1.0")
        .header("accept", "*/*")
        .header("traceparent", traceparent())
        .body(Body::empty())
        .unwrap()
}

/// Creates a client request.
pub fn outgoing() -> Request<Body> {
    Request::get("http://stock.example:8080/items/7")
        .header("user-agent", "bench/1.0")
        .header("accept", "*/*")
        .body(Body::empty())
        .unwrap()
}

/// Creates an application with three handlers: minimal, a loop that takes as many microseconds as the path states, a
/// database query. A loop of `spins` takes 100 µs.
pub fn working(spins: u64) -> Router {
    hello()
        .route(
            "/work/{id}",
            get(async move |Path(micros): Path<u64>| {
                work::spin(spins * micros / 100);
                "hello"
            }),
        )
        .route("/shelves/{id}", get(work::shelf))
}

/// The work of the handlers.
pub mod work {
    use std::{fmt::Write, hint::black_box, time::Duration, time::Instant};

    use axum::extract::Path;
    use rusqlite::Connection;

    /// Runs a loop that takes the same time in every process.
    pub fn spin(spins: u64) {
        let mut state = 1_u64;
        for step in 0..spins {
            state = black_box(
                state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(step),
            );
        }
    }

    /// Returns the number of spins that takes `time` on an idle processor. It is measured once, so that
    /// all arms do the same work.
    pub fn calibrate(time: Duration) -> u64 {
        const SPINS: u64 = 100_000;
        let once = || {
            let start = Instant::now();
            spin(SPINS);
            start.elapsed()
        };
        let fastest = (0..200).map(|_| once()).min().unwrap();
        (SPINS as f64 * time.as_secs_f64() / fastest.as_secs_f64()) as u64
    }

    thread_local! {
        static DATABASE: Connection = sample_database();
    }

    /// Creates a database of ten thousand things on five hundred shelves.
    fn sample_database() -> Connection {
        let database = Connection::open_in_memory().unwrap();
        database
            .execute_batch(
                "CREATE TABLE things (id INTEGER PRIMARY KEY, shelf INTEGER, name TEXT, price REAL);
                 WITH RECURSIVE ids(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM ids LIMIT 10000)
                 INSERT INTO things
                 SELECT id, id % 500, 'thing ' || id, id * 37 % 1000 / 10.0 FROM ids;
                 CREATE INDEX by_shelf ON things (shelf, price);",
            )
            .unwrap();
        database
    }

    /// Lists the things on a shelf, the cheapest first.
    pub(super) async fn shelf(Path(shelf): Path<u32>) -> String {
        DATABASE.with(|database| {
            let mut query = database
                .prepare_cached("SELECT name, price FROM things WHERE shelf = ?1 ORDER BY price")
                .unwrap();
            let mut rows = query.query([shelf]).unwrap();
            let mut page = String::new();
            while let Some(row) = rows.next().unwrap() {
                let name = row.get_ref(0).unwrap().as_str().unwrap().to_owned();
                let price: f64 = row.get(1).unwrap();
                writeln!(page, "{name}: {price}").unwrap();
            }
            page
        })
    }
}
