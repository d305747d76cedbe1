//! A hash for short keys, seeded anew in every process.
//!
//! Each step multiplies two seeded words to 128 bits and folds the halves together. It is no
//! cryptographic hash: its seeds make collisions impractical to aim for, and the table that uses
//! it bounds what a collision costs, which is why the standard library's SipHash, several times
//! dearer on a path and a status, is not needed.

use std::hash::{BuildHasher, Hasher, RandomState};

/// An odd constant with evenly spread bits: the fraction of the golden ratio.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The two secrets of one table.
#[derive(Clone, Copy)]
pub(super) struct Seeds {
    first: u64,
    second: u64,
}

impl Seeds {
    /// Seeds nobody outside this process knows, from where the standard library takes its own.
    pub(super) fn random() -> Self {
        let source = RandomState::new();
        Self {
            first: source.hash_one(1_u8),
            second: source.hash_one(2_u8),
        }
    }
}

impl BuildHasher for Seeds {
    type Hasher = Folding;

    #[inline]
    fn build_hasher(&self) -> Folding {
        Folding {
            state: self.first,
            seed: self.second,
        }
    }
}

/// The state of one hash.
pub(super) struct Folding {
    state: u64,
    seed: u64,
}

impl Folding {
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

impl Hasher for Folding {
    #[inline]
    fn write(&mut self, mut bytes: &[u8]) {
        let len = bytes.len() as u64;
        while let Some((chunk, rest)) = bytes.split_first_chunk::<16>() {
            let chunk = u128::from_le_bytes(*chunk);
            self.mix(chunk as u64, (chunk >> 64) as u64);
            bytes = rest;
        }
        // Two reads that may overlap see every byte of the rest; the length tells apart what
        // would look alike.
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
    fn every_byte_of_every_length_counts() {
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
    fn paths_that_differ_in_one_number_spread_evenly() {
        const SLOTS: usize = 1024;
        let seeds = Seeds::random();
        for shift in [0, 32] {
            let mut taken = vec![0_usize; SLOTS];
            for n in 0..SLOTS * 100 {
                let hash = seeds.hash_one(("GET", format!("/users/{n}"), 200_u16));
                taken[(hash >> shift) as usize % SLOTS] += 1;
            }
            let (least, most) = (taken.iter().min().unwrap(), taken.iter().max().unwrap());
            // Mean 100, deviation 10: beyond six deviations is no chance.
            assert!(*least > 40 && *most < 160, "{least}..{most} of 100");
        }
    }

    #[test]
    fn two_tables_do_not_hash_alike() {
        assert_ne!(Seeds::random().hash_one("/"), Seeds::random().hash_one("/"));
    }
}
