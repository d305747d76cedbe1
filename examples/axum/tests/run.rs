//! Runs the example and checks what it prints.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

/// Kills the process when it is dropped.
struct KillOnDrop(Child);

impl Drop for KillOnDrop {
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
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

#[test]
fn requests_are_traced_and_counted_until_ctrl_c() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_example-axum"));
    let child = command
        .arg("127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut server = KillOnDrop(child);
    let mut lines = BufReader::new(server.0.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let address = lines.by_ref().find(|line| line.starts_with("curl http://"));
    let address = address.unwrap();
    let address = address
        .trim_start_matches("curl http://")
        .split('/')
        .next()
        .unwrap();

    assert!(get(address, "/users/1").ends_with("Grace\n"));
    assert!(get(address, "/users/7").starts_with("HTTP/1.1 404"));
    let metrics = get(address, "/metrics");
    let expected = r#"http_requests_total{method="GET",path="/users/{id}",status="404"} 1"#;
    assert!(metrics.contains(expected), "{metrics}");

    let kill = Command::new("kill")
        .args(["-s", "INT", &server.0.id().to_string()])
        .status();
    assert!(kill.unwrap().success());
    assert!(server.0.wait().unwrap().success());
    let text: String = lines.map(|line| line + "\n").collect();
    for words in [
        "GET /users/{id}",
        "└─ find_user",
        "user not found",
        "404 /users/7",
    ] {
        assert!(text.contains(words), "no {words} in\n{text}");
    }
}
