//! What the suite costs: what the benches share.
//!
//! Every arm, bare ones included, runs in a process of its own: a subscriber or a recorder belongs
//! to the whole process, and would tax the arms beside it. All processes live at the same time and
//! take short turns in an order that is drawn anew for each round, so that whatever else the
//! machine does meets all of them. What is compared is compared inside of a round.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc
)]

pub mod app;
pub mod arms;
pub mod budget;
pub mod by_hand;
pub mod client_arms;
pub mod collector;
pub mod delivery;
pub mod drive;
pub mod exchange;
pub mod live;
pub mod load;
pub mod recorded;
pub mod report;
pub mod server;
pub mod signals;
pub mod stats;
