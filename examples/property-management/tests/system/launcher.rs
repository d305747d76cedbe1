//! The launcher, `property-management --once`.

use std::{
    io::Read,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use uuid::Uuid;

use crate::harness::TIMEOUT;

#[test]
fn the_launcher_prints_a_trace_and_red_tables_and_removes_its_files() {
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
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut text = String::new();
        let _ = sender.send(out.read_to_string(&mut text).map(|_| text));
    });
    let output = receiver.recv_timeout(TIMEOUT);
    if output.is_err() {
        launcher.kill().unwrap();
    }
    let status = launcher.wait().unwrap();
    let output = output.expect("the launcher ends").unwrap();
    assert_eq!(status.code(), Some(0), "{output}");

    let (_, report) = output.split_once("\nTrace ").expect(&output);
    let (tree, tables) = report.split_once("\n\n").expect(&output);
    assert!(
        tree.starts_with("of a customer offers a flat  "),
        "{output}"
    );
    let tree = &tree[tree.find("\na customer").expect(&output)..];
    let assert_descendant = |ancestor: &str, name: &str| {
        let position = |name| {
            let line = tree.lines().position(|line| line.contains(name));
            let line = line.unwrap_or_else(|| panic!("no {name} in\n{output}"));
            (line, tree.lines().nth(line).unwrap().find(name).unwrap())
        };
        let ((first, left), (second, right)) = (position(ancestor), position(name));
        assert!(
            first < second && left < right,
            "{name} below {ancestor} in\n{tree}"
        );
    };
    // Names are cut, so that a line has 80 columns.
    let (description, listing) = ("POST /properties/{id}/des…", "POST /properties/{id}/lis…");
    assert_descendant("a customer offers a flat", description);
    assert_descendant(description, "GET /listings");
    assert_descendant("GET /listings", "SELECT listings");
    assert_descendant(description, "chat gpt-4o-mini");
    assert_descendant(listing, "process publish_listing");
    assert_descendant("process publish_listing", "INSERT listings");

    let (server, client) = tables.split_once("\n\n").expect(&output);
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
        assert!(head.starts_with(title), "{output}");
        let line = lines.find(|line| line.starts_with(route)).expect(&output);
        let requests = head.find(" requests").unwrap() + " requests".len();
        let count = line[..requests].rsplit(' ').next().unwrap();
        assert!(count.parse::<u32>().unwrap() > 0, "{line}");
    }
    let files = std::fs::read_dir(&folder).unwrap().count();
    std::fs::remove_dir(&folder).unwrap();
    assert_eq!(files, 0, "files are left");
}
