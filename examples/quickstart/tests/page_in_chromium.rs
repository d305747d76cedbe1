//! The page in a browser, while the quickstart runs.

#![allow(clippy::unwrap_used)]

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

/// Kills the process when it is dropped, also after a failed assertion.
struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The variable `PAGE_SCREENSHOTS` sets a directory for screenshots.
#[test]
#[ignore = "needs chromium and Node: .ci/run page_in_chromium"]
fn a_browser_shows_routes_traces_and_errors() {
    let quickstart = Command::new(env!("CARGO_BIN_EXE_quickstart"))
        .stdout(Stdio::piped())
        .spawn();
    let mut quickstart = KillOnDrop(quickstart.unwrap());
    let mut lines = BufReader::new(quickstart.0.stdout.take().unwrap()).lines();
    let mut url_of = |name: &str| {
        let line = lines.find_map(|line| line.unwrap().strip_prefix(name).map(str::to_owned));
        let line = line.unwrap();
        line.split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let (shop, page) = (url_of("shop "), url_of("page "));
    url_of("Still serving");
    // A full pipe would block the services.
    std::thread::spawn(move || lines.for_each(drop));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.ci/page/quickstart.mjs");
    let mut node = Command::new("node");
    node.args([script, &page, &shop])
        .args(env::var_os("PAGE_SCREENSHOTS"));
    assert!(node.status().unwrap().success());
}
