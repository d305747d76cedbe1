//! Lines of tables: the response of a server, what is read of it, and the expected line of the access log.

use std::{fmt::Write, future::pending, io};

use suite_tests::{
    net::Step,
    response::{full, scripted, with_status},
    table::lines,
};

use crate::exchange::{HandlerFuture, Read, grpc, refused, respond};

/// Returns the case of a line of a table: the response, what is read of it, and the expected line.
pub(crate) fn cases(
    table: &'static str,
) -> impl Iterator<Item = (&'static str, Read, &'static str)> {
    lines(table).map(|(exchange, expected)| {
        let (response, read) = exchange.split_once(", read ").unwrap();
        let read = match read {
            "to the head" => Read::Head,
            "one frame" => Read::OneFrame,
            "to the end" => Read::ToTheEnd,
            other => panic!("{other}"),
        };
        (response, read, expected)
    })
}

/// Returns the response that the table names.
pub(crate) fn handler(response: &'static str) -> HandlerFuture {
    if let Some(status) = response.strip_prefix("a call with ") {
        return respond(grpc(status));
    }
    if let Some(status) = response.strip_prefix("a refused call with ") {
        return respond(refused(status));
    }
    match response {
        "nothing" => Box::pin(pending()),
        "an error" => Box::pin(async { Err(io::ErrorKind::TimedOut.into()) }),
        "a panic" => Box::pin(async { panic!("the handler") }),
        "a body with an error" => respond(scripted([Step::Data("a"), Step::Error])),
        "a body with a panic" => respond(scripted([Step::Data("a"), Step::Panic])),
        "an endless body" => respond(scripted([Step::Data("a"), Step::Pending])),
        status => respond(with_status(status.parse().unwrap(), full("hello"))),
    }
}

/// Returns the text of a line from its short form: level, two words of the message, status and error.
pub(crate) fn line(short: &str) -> String {
    let mut words = short.split(' ');
    let mut next = || words.next().unwrap_or("-");
    let mut text = format!(
        "{} {} {} http.request.method=GET url.path=/things/7",
        next(),
        next(),
        next()
    );
    for key in ["http.response.status_code", "error.type"] {
        match next() {
            "-" => {}
            value => write!(text, " {key}={value}").unwrap(),
        }
    }
    text
}
