//! What the suite costs: see the benches.
