//! A request as bytes and the span that it must have, as a line of a table.

use opentelemetry::{Value, trace::SpanId};
use suite_tests::table::lines;
use tower_otel_semconv::TrustedProxies;
use tower_otel_trace::TraceLayer;

/// The bytes of a request and the expected span.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) bytes: Vec<u8>,
    pub(crate) name: String,
    pub(crate) parent: SpanId,
    pub(crate) attributes: Vec<(String, Option<Value>)>,
    trusts_proxies: bool,
}

/// Returns the cases of a table. A line has the request line and the headers, and the attributes of the span:
///
/// ```text
/// GET /things/7?a=b HTTP/1.1 | Host: a.example:80 => name=GET /things/{id} | server.port=80 | client.address=-
/// ```
///
/// The default of the request line is `GET /things/7 HTTP/1.1`, and of the name `GET /things/{id}`. `name` and
/// `parent` are those of the span, `-` is absent. `\xff`, `\r` and `\n` are bytes, and `<3 ab>` is `ababab`.
pub(crate) fn cases(table: &str) -> Vec<Case> {
    lines(table)
        .map(|(request, expected)| Case::parse(request, expected))
        .collect()
}

/// The same, if all proxies are trusted.
pub(crate) fn trusting_cases(table: &str) -> Vec<Case> {
    let trusting = |case| Case {
        trusts_proxies: true,
        ..case
    };
    cases(table).into_iter().map(trusting).collect()
}

impl Case {
    fn parse(request: &str, expected: &str) -> Self {
        let (line, headers) = match request.split_once(" | ") {
            _ if !request.contains(" HTTP/1.") => ("GET /things/7 HTTP/1.1", Some(request)),
            Some((line, headers)) => (line, Some(headers)),
            None => (request, None),
        };
        let headers = headers.into_iter().flat_map(|headers| headers.split(" | "));
        let mut bytes = unescape(line);
        for header in headers.chain(["Connection: close"]) {
            bytes.extend_from_slice(b"\r\n");
            bytes.extend(unescape(header));
        }
        bytes.extend_from_slice(b"\r\n\r\n");
        let mut case = Self {
            bytes,
            name: "GET /things/{id}".to_owned(),
            parent: SpanId::INVALID,
            attributes: Vec::new(),
            trusts_proxies: false,
        };
        for attribute in expected.split(" | ") {
            let (key, value) = attribute.split_once('=').expect(attribute);
            match (key, value) {
                ("name", name) => case.name = name.to_owned(),
                ("parent", "-") => {}
                ("parent", parent) => case.parent = SpanId::from_hex(parent).unwrap(),
                (key, value) => case
                    .attributes
                    .push((key.to_owned(), expected_value(key, value))),
            }
        }
        case
    }

    pub(crate) fn layer(&self) -> TraceLayer {
        TraceLayer::server().trusted_proxies(if self.trusts_proxies {
            TrustedProxies::all()
        } else {
            TrustedProxies::default()
        })
    }

    pub(crate) fn text(&self) -> String {
        let shown = self.bytes.get(..200).unwrap_or(&self.bytes);
        shown.escape_ascii().to_string()
    }
}

/// Returns the recorded value. Texts are cut after 4096 characters.
fn expected_value(key: &str, value: &str) -> Option<Value> {
    match value {
        "-" => None,
        port if key.ends_with(".port") => Some(port.parse::<i64>().unwrap().into()),
        text => {
            let text = String::from_utf8(unescape(text)).unwrap();
            Some(text.chars().take(4096).collect::<String>().into())
        }
    }
}

/// Replaces `\xff`, `\r`, `\n` and `<3 ab>`.
fn unescape(text: &str) -> Vec<u8> {
    let Some(at) = text.find(['\\', '<']) else {
        return text.as_bytes().to_vec();
    };
    let (before, escape) = text.split_at(at);
    let (value, after) = if let Some(repeated) = escape.strip_prefix('<') {
        let (repeated, after) = repeated.split_once('>').expect(text);
        let (times, repeated) = repeated.split_once(' ').expect(text);
        (unescape(repeated).repeat(times.parse().expect(text)), after)
    } else if let Some(code) = escape.strip_prefix("\\x") {
        let (code, after) = code.split_at(2);
        (vec![u8::from_str_radix(code, 16).expect(text)], after)
    } else if let Some(after) = escape.strip_prefix("\\r") {
        (b"\r".to_vec(), after)
    } else {
        (b"\n".to_vec(), escape.strip_prefix("\\n").expect(text))
    };
    [before.as_bytes(), &value, &unescape(after)].concat()
}
