//! A writer for tests.
#![allow(clippy::unwrap_used)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

/// A writer that collects its input in memory. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct TestOutput(Arc<Mutex<Vec<u8>>>);

impl Write for TestOutput {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TestOutput {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}
