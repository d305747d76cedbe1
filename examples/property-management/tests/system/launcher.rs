//! The launcher, as somebody runs it who has a minute.

use std::{
    io::Read,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use uuid::Uuid;

use crate::harness::LONG;

#[test]
fn the_launcher_shows_a_trace_through_all_services_and_the_red_table_and_leaves_nothing() {
    let folder = std::env::temp_dir().join(format!("pms-test-{}", Uuid::now_v7()));
    std::fs::create_dir(&folder).unwrap();
    let mut launcher = Command::new(env!("CARGO_BIN_EXE_property-management"))
        .args(["--once", "--seconds", "1"])
        .env_clear()
        .env("TMPDIR", &folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = launcher.stdout.take().unwrap();
    let (ended, shown) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let _ = ended.send(out.read_to_string(&mut text).map(|_| text));
    });
    let shown = shown.recv_timeout(LONG);
    if shown.is_err() {
        launcher.kill().unwrap();
    }
    let status = launcher.wait().unwrap();
    let shown = shown.expect("it ends").unwrap();
    assert_eq!(status.code(), Some(0), "{shown}");

    let (_, report) = shown.split_once("\nTrace ").expect(&shown);
    let (tree, tables) = report.split_once("\n\n").expect(&shown);
    let below = |upper: &str, lower: &str| {
        let depth = |name| {
            let line = tree.lines().position(|line| line.contains(name));
            let line = line.unwrap_or_else(|| panic!("{name} in\n{shown}"));
            (line, tree.lines().nth(line).unwrap().find(name).unwrap())
        };
        let ((first, left), (second, right)) = (depth(upper), depth(lower));
        assert!(
            first < second && left < right,
            "{lower} below {upper} in\n{tree}"
        );
    };
    below(
        "a customer offers a flat",
        "POST /properties/{id}/description",
    );
    below("POST /properties/{id}/description", "GET /listings");
    below("GET /listings", "SELECT listings");
    below("POST /properties/{id}/description", "chat gpt-4o-mini");
    below("POST /properties/{id}/listing ", "process publish_listing");
    below("process publish_listing", "INSERT listings");

    let (server, client) = tables.split_once("\n\n").expect(&shown);
    for (table, title, route) in [
        (server, "Server path", "GET    /listings "),
        (
            server,
            "Server path",
            "POST   /properties/{id}/description ",
        ),
        (client, "Client host", "POST   127.0.0.1:"),
    ] {
        let mut lines = table.lines();
        let head = lines.next().unwrap();
        assert!(head.starts_with(title), "{shown}");
        let line = lines.find(|line| line.starts_with(route)).expect(&shown);
        let requests = head.find(" requests").unwrap() + " requests".len();
        let count = line[..requests].rsplit(' ').next().unwrap();
        assert!(count.parse::<u32>().unwrap() > 0, "{line}");
    }
    let left = std::fs::read_dir(&folder).unwrap().count();
    std::fs::remove_dir(&folder).unwrap();
    assert_eq!(left, 0, "files are left");
}
