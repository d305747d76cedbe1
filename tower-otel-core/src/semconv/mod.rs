//! The HTTP and RPC semantic conventions, as data and pure functions.
