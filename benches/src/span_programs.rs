//! The measured programs: spans and events as an application writes them, with `tracing` and with fastrace.

use std::hint::black_box;

use tracing::field::Empty;

/// The number of inner spans or events of a program.
pub const REPEATS: u64 = 2;

/// The spans and events of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// A root span with eleven fields, one of them recorded late.
    Root,
    /// The root span, and inner spans with one field.
    InnerSpans,
    /// The root span, and events with a message and one field.
    Events,
}

impl Program {
    /// All programs.
    pub const ALL: [Self; 3] = [Self::Root, Self::InnerSpans, Self::Events];

    /// Returns the name in arms and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Root => "root span",
            Self::InnerSpans => "inner span",
            Self::Events => "event",
        }
    }

    /// Returns the number of spans that a run records.
    pub const fn spans(self) -> u64 {
        match self {
            Self::InnerSpans => 1 + REPEATS,
            Self::Root | Self::Events => 1,
        }
    }

    /// Runs the program with `tracing`.
    pub fn run(self) {
        let root = tracing::info_span!(
            "HTTP request",
            otel.name = "GET /users/{id}",
            otel.kind = "server",
            http.request.method = "GET",
            http.route = "/users/{id}",
            url.path = black_box("/users/7"),
            url.scheme = "http",
            user_agent.original = black_box("bench/1.0"),
            server.address = black_box("shop.example"),
            server.port = 8080,
            network.protocol.version = "1.1",
            http.response.status_code = Empty,
        );
        {
            let _entered = root.enter();
            for n in 0..REPEATS {
                match self {
                    Self::Root => {}
                    Self::InnerSpans => {
                        let _entered = tracing::info_span!("load user", user.id = n).entered();
                        black_box(n);
                    }
                    Self::Events => tracing::info!(user.id = n, "user found"),
                }
            }
        }
        root.record("http.response.status_code", 200);
    }

    /// Runs the program with fastrace, whose properties are texts.
    pub fn run_with_fastrace(self) {
        use fastrace::{Event, Span, local::LocalSpan, prelude::SpanContext};

        let root = Span::root("GET /users/{id}", SpanContext::random());
        let root = root.with_properties(|| {
            [
                ("span.kind", "server"),
                ("http.request.method", "GET"),
                ("http.route", "/users/{id}"),
                ("url.path", black_box("/users/7")),
                ("url.scheme", "http"),
                ("user_agent.original", black_box("bench/1.0")),
                ("server.address", black_box("shop.example")),
                ("server.port", "8080"),
                ("network.protocol.version", "1.1"),
            ]
        });
        {
            let _local = root.set_local_parent();
            for n in 0..REPEATS {
                match self {
                    Self::Root => {}
                    Self::InnerSpans => {
                        let span = LocalSpan::enter_with_local_parent("load user");
                        let _span = span.with_property(|| ("user.id", n.to_string()));
                        black_box(n);
                    }
                    Self::Events => {
                        let event = Event::new("user found");
                        LocalSpan::add_event(event.with_property(|| ("user.id", n.to_string())));
                    }
                }
            }
        }
        root.add_property(|| ("http.response.status_code", "200"));
    }
}
