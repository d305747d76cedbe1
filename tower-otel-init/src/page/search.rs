//! `GET /search?q=text`, on the page's thread.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::page::page_state::PageState;
use crate::page::page_thread::PageJobs;

/// Runs one search at a time, because a search decodes all spans.
#[derive(Debug)]
pub(crate) struct Search {
    running: Arc<Semaphore>,
}

impl Search {
    pub(crate) fn new() -> Self {
        Self {
            running: Arc::new(Semaphore::new(1)),
        }
    }

    /// Returns the numbers of the traces with the text of a query. Returns `None` while another search runs, or if the page is
    /// stopped.
    pub(crate) async fn run(
        &self,
        query: &str,
        state: &Arc<PageState>,
        jobs: &PageJobs,
    ) -> Option<Vec<u64>> {
        let permit = Arc::clone(&self.running).try_acquire_owned().ok()?;
        let (text, state) = (search_text(query), Arc::clone(state));
        let found = jobs.run(move || {
            let found = state.search(&text);
            // Released after the search, also if the client has disconnected.
            drop(permit);
            found
        });
        found.await.ok()
    }
}

/// Returns the text of `q=text`, whose characters may be percent-encoded.
fn search_text(query: &str) -> String {
    let text = query.strip_prefix("q=").unwrap_or_default();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| *first == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::runtime::Builder;
    use tokio::sync::oneshot;

    use super::*;
    use crate::page::page_thread::PageThread;

    #[test]
    fn one_search_runs_at_a_time_on_the_thread_of_the_page() {
        let state = Arc::new(PageState::new("shop".to_owned()));
        let thread = PageThread::start(Arc::clone(&state)).unwrap();
        let jobs = thread.jobs();
        let (release, released) = oneshot::channel::<()>();
        let busy = jobs.run(move || released.blocking_recv());
        let search = Search::new();
        let runtime = Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut first = Box::pin(search.run("q=a", &state, &jobs));
            // The search waits for the thread.
            tokio::select! {
                biased;
                _ = &mut first => unreachable!(),
                () = std::future::ready(()) => {}
            }
            assert_eq!(search.run("q=b", &state, &jobs).await, None);
            release.send(()).unwrap();
            assert_eq!(first.await, Some(Vec::new()));
            assert!(busy.await.unwrap().is_ok());
            assert_eq!(search.run("q=b", &state, &jobs).await, Some(Vec::new()));
            drop(thread);
            assert_eq!(search.run("q=b", &state, &jobs).await, None);
        });
    }

    #[test]
    fn the_text_of_a_search_is_decoded() {
        for (query, text) in [
            ("q=a%20b%C3%A4", "a bä"),
            ("q=100%", "100%"),
            ("q=%zz%4", "%zz%4"),
            ("q=%ff", "\u{fffd}"),
            ("other=1", ""),
            ("", ""),
        ] {
            assert_eq!(search_text(query), text, "{query}");
        }
    }
}
