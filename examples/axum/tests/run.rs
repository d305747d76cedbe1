//! The example does what its first lines say.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

/// Stopped in any case.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn it_answers_prints_traces_and_counts_until_it_is_told_to_stop() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_example-axum"));
    let child = command
        .arg("127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = Running(child);
    let mut lines = BufReader::new(server.0.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let said: Vec<_> = lines.by_ref().take(3).collect();
    let address = said.first().unwrap();
    let address = address
        .trim_start_matches("curl http://")
        .split('/')
        .next()
        .unwrap();

    assert!(get(address, "/users/1").ends_with("Grace\n"));
    assert!(get(address, "/users/7").starts_with("HTTP/1.1 404"));
    let metrics = get(address, "/metrics");
    let counted = r#"http_requests_total{method="GET",path="/users/{id}",status="404"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");

    let stopped = Command::new("kill")
        .args(["-s", "INT", &server.0.id().to_string()])
        .status();
    assert!(stopped.unwrap().success());
    assert!(server.0.wait().unwrap().success());
    let text: String = lines.map(|line| line + "\n").collect();
    for words in [
        "GET /users/{id}",
        "└─ find",
        "nobody has this number",
        "server 404",
    ] {
        assert!(text.contains(words), "{words} is not in\n{text}");
    }
}
