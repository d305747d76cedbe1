//! A fast hash for short keys, with random seeds.
//!
//! Each step multiplies two seeded words to 128 bits and combines the halves. The hash is not
//! cryptographic. The seeds make it impractical to craft collisions, and the cache bounds the cost of
//! a collision. SipHash of the standard library takes several times as long for a path and a status.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

/// An odd constant with evenly spread bits: the fraction of the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The two secret seeds of one cache.
#[derive(Clone, Copy)]
pub(super) struct Seeds {
    first: u64,
    second: u64,
}

impl Seeds {
    /// Creates seeds from the random state of the standard library.
    pub(super) fn random() -> Self {
        let source = RandomState::new();
        Self {
            first: source.hash_one(1_u8),
            second: source.hash_one(2_u8),
        }
    }

    /// Returns the hash of a value. Equals [`hash_one`](BuildHasher::hash_one), which costs one more call for a reference.
    #[allow(
        clippy::manual_hash_one,
        reason = "this is the function that it suggests"
    )]
    #[inline(always)]
    pub(super) fn hash_of<T: Hash>(&self, value: &T) -> u64 {
        let mut hasher = self.build_hasher();
        value.hash(&mut hasher);
        hasher.finish()
    }
}

impl BuildHasher for Seeds {
    type Hasher = FoldingHasher;

    #[inline]
    fn build_hasher(&self) -> FoldingHasher {
        FoldingHasher {
            state: self.first,
            seed: self.second,
        }
    }
}

/// The state of one hash.
pub(super) struct FoldingHasher {
    state: u64,
    seed: u64,
}

impl FoldingHasher {
    #[inline]
    fn mix(&mut self, low: u64, high: u64) {
        self.state = fold(self.state ^ low, self.seed ^ high).wrapping_add(SPREAD);
    }
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

impl Hasher for FoldingHasher {
    #[inline]
    fn write(&mut self, mut bytes: &[u8]) {
        let len = bytes.len() as u64;
        while let Some((chunk, remaining)) = bytes.split_first_chunk::<16>() {
            let chunk = u128::from_le_bytes(*chunk);
            self.mix(chunk as u64, (chunk >> 64) as u64);
            bytes = remaining;
        }
        // Two reads that may overlap cover the remaining bytes. The length distinguishes inputs
        // that would otherwise read alike.
        let (low, high) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            (Some(low), Some(high)) => (u64::from_le_bytes(*low), u64::from_le_bytes(*high)),
            _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
                (Some(low), Some(high)) => (
                    u32::from_le_bytes(*low).into(),
                    u32::from_le_bytes(*high).into(),
                ),
                _ => (
                    bytes
                        .iter()
                        .fold(0, |word, byte| word << 8 | u64::from(*byte)),
                    0,
                ),
            },
        };
        self.mix(low ^ len.wrapping_mul(SPREAD), high);
    }

    #[inline]
    fn write_u8(&mut self, value: u8) {
        self.mix(value.into(), 0);
    }

    #[inline]
    fn write_u16(&mut self, value: u16) {
        self.mix(value.into(), 0);
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.mix(value.into(), 0);
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.mix(value, 0);
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.mix(value as u64, 0);
    }

    #[inline]
    fn finish(&self) -> u64 {
        fold(self.state, self.seed ^ SPREAD)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_byte_and_the_length_change_the_hash() {
        let seeds = Seeds::random();
        let mut seen = HashSet::new();
        for len in 0..70 {
            let zeroes = vec![0_u8; len];
            assert!(seen.insert(seeds.hash_one(&zeroes[..])), "{len} zeroes");
            for at in 0..len {
                let mut bytes = zeroes.clone();
                bytes[at] = 1;
                assert!(
                    seen.insert(seeds.hash_one(&bytes[..])),
                    "byte {at} of {len}"
                );
            }
        }
    }

    #[test]
    fn paths_that_differ_in_a_number_are_spread_evenly() {
        const SLOTS: usize = 1024;
        let seeds = Seeds::random();
        for shift in [0, 32] {
            let mut counts = vec![0_usize; SLOTS];
            for n in 0..SLOTS * 100 {
                let hash = seeds.hash_one(("GET", format!("/users/{n}"), 200_u16));
                counts[(hash >> shift) as usize % SLOTS] += 1;
            }
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            // Mean 100, deviation 10: six deviations do not happen by chance.
            assert!(*least > 40 && *most < 160, "{least}..{most} of 100");
        }
    }

    #[test]
    fn two_caches_hash_differently() {
        assert_ne!(Seeds::random().hash_one("/"), Seeds::random().hash_one("/"));
    }
}
