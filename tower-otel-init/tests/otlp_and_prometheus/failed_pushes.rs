//! A push that fails is tried twice, logged and returned.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    thread,
};

use crate::service::{between, run_test};

/// Responds to each push with the next status. Returns the number of pushes when the client has ended.
fn answer_pushes(listener: TcpListener, statuses: Vec<&'static str>) -> usize {
    let mut pushes = 0;
    for stream in listener.incoming() {
        let mut stream = BufReader::new(stream.unwrap());
        let (mut line, mut length) = (String::new(), 0);
        stream.read_line(&mut line).unwrap();
        if line.starts_with("END") {
            break;
        }
        loop {
            line.clear();
            stream.read_line(&mut line).unwrap();
            if let Some((_, value)) = line
                .split_once(": ")
                .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        stream.read_exact(&mut vec![0; length]).unwrap();
        let status = statuses[pushes.min(statuses.len() - 1)];
        pushes += 1;
        let head = "content-length: 0\r\nconnection: close";
        write!(stream.get_mut(), "HTTP/1.1 {status}\r\n{head}\r\n\r\n").unwrap();
    }
    pushes
}

/// Runs the job with a collector that responds with these statuses. Returns the number of pushes, and the output.
fn run_job(service: &str, statuses: &[&'static str]) -> (usize, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let statuses = statuses.to_vec();
    let collector = thread::spawn(move || answer_pushes(listener, statuses));
    let output = run_test(
        "service::job",
        &[
            ("METRICS_SERVICE", service),
            (
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                &format!("http://user:c4n4ry@{address}"),
            ),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_EXPORTER", "none"),
        ],
    );
    writeln!(TcpStream::connect(address).unwrap(), "END").unwrap();
    assert!(!output.contains("c4n4ry"), "{output}");
    (collector.join().unwrap(), output)
}

const UNAVAILABLE: &str = "503 Service Unavailable";

#[test]
fn the_last_push_is_tried_twice_and_its_failure_is_logged() {
    let lost = "the last export of metrics failed";
    for (statuses, expected) in [
        (&["200 OK"][..], (1, false)),
        (&[UNAVAILABLE, "200 OK"], (2, false)),
        (&[UNAVAILABLE], (2, true)),
    ] {
        let (pushes, output) = run_job("stops", statuses);
        assert_eq!((pushes, output.contains(lost)), expected, "{output}");
    }
}

#[test]
fn a_flush_returns_the_error_of_the_push() {
    let (_, output) = run_job("flushes", &[UNAVAILABLE, "200 OK"]);
    let flushed = between(&output, "flush");
    assert!(
        flushed.starts_with("Err(") && flushed.contains("503"),
        "{flushed}"
    );
    let (_, output) = run_job("flushes", &["200 OK"]);
    assert_eq!(between(&output, "flush"), "Ok(())");
}
