//! Reproducible pseudo-random numbers.

/// A xorshift generator. Equal seeds produce equal numbers.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Creates a generator. Different seeds produce different numbers, including the first one.
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Returns a number below `end`.
    pub const fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 32) % end
    }

    /// Returns `true` with this probability in per cent.
    pub const fn percent(&mut self, probability: u64) -> bool {
        self.below(100) < probability
    }
}
