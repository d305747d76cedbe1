//! A cache of span names that lasts as long as the process.

use std::sync::OnceLock;

/// The maximum number of cached names. There is one name for each method and route. Further names are built for each
/// span.
const SLOTS: usize = 1024;

/// The maximum number of slots that are tried for a name.
const MAX_PROBES: usize = 8;

/// The maximum length of a cached name.
const MAX_LENGTH: usize = 256;

static NAMES: [OnceLock<Name>; SLOTS] = [const { OnceLock::new() }; SLOTS];

/// A name and its hash, so that other names are skipped without reading them.
struct Name {
    hash: u64,
    name: Box<str>,
}

/// Returns `{method} {target}` from the cache, or `None` if the cache has no room for it.
pub(crate) fn get(method: &str, target: &str) -> Option<&'static str> {
    let is_match = |name: &str| {
        name.strip_prefix(method)
            .and_then(|rest| rest.strip_prefix(' '))
            .is_some_and(|rest| rest == target)
    };
    let initial = method.bytes().next().map_or(0, u64::from);
    let hash = hash(target.as_bytes(), initial ^ (method.len() as u64) << 8);
    let start = (hash >> 54) as usize;
    for index in (start..).take(MAX_PROBES) {
        let slot = NAMES.get(index % SLOTS)?;
        let slot = match slot.get() {
            Some(slot) => slot,
            None if method.len() + target.len() < MAX_LENGTH => {
                // Another thread may have set another name first.
                slot.get_or_init(|| Name {
                    hash,
                    name: [method, " ", target].concat().into(),
                })
            }
            None => return None,
        };
        if slot.hash == hash && is_match(&slot.name) {
            return Some(&slot.name);
        }
    }
    None
}

/// Hashes all bytes of a text. Use the highest bits. Different texts may have the same hash, so a lookup must compare the texts.
#[inline]
pub(crate) fn hash(text: &[u8], seed: u64) -> u64 {
    let (mut state, mut rest) = (seed, text);
    while rest.len() > 16
        && let Some((chunk, after)) = rest.split_first_chunk::<16>()
    {
        let chunk = u128::from_ne_bytes(*chunk);
        state = mix(state, chunk as u64, (chunk >> 64) as u64);
        rest = after;
    }
    hash_ends(rest, state)
}

/// Hashes the length, the first eight and the last eight bytes of a text, like [`hash`].
#[inline]
pub(crate) fn hash_ends(text: &[u8], seed: u64) -> u64 {
    let state = seed ^ (text.len() as u64).wrapping_mul(0xa076_1d64_78bd_642f);
    // Two reads that may overlap.
    let (first, last) = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => (u64::from_ne_bytes(*first), u64::from_ne_bytes(*last)),
        _ => {
            let word = |word: u64, byte: &u8| word << 8 | u64::from(*byte);
            (text.iter().fold(0, word), 0)
        }
    };
    mix(state, first, last)
}

/// Multiplies two words to 128 bits and combines the halves, so that each bit of the words changes the result.
#[inline]
fn mix(state: u64, low: u64, high: u64) -> u64 {
    let low = u128::from(state ^ low ^ 0x9e37_79b9_7f4a_7c15);
    let product = low * u128::from(high ^ 0xe703_7ed1_a0b4_28db);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{collections::HashSet, thread};

    use super::*;

    #[test]
    fn a_name_is_built_once() {
        let [first, second] = [(); 2].map(|()| get("GET", "/made/{once}").unwrap());
        assert_eq!(first, "GET /made/{once}");
        assert_eq!(first.as_ptr(), second.as_ptr());
    }

    // One test, because the cache of the process is full afterwards.
    #[test]
    fn similar_names_are_distinguished_and_the_cache_is_bounded() {
        for (method, target) in [
            ("GET", "/a"),
            ("GET", "/a "),
            ("GET", " /a"),
            ("GET /a", ""),
            ("GET", ""),
            ("PUT", "/a"),
            ("GETT", "/a"),
            ("", "GET /a"),
        ] {
            let name = get(method, target).unwrap();
            assert_eq!(name, format!("{method} {target}"));
        }
        thread::scope(|scope| {
            let all = || {
                let mut cached = 0;
                for route in 0..5 * SLOTS {
                    let target = format!("/a/route/{route}/of/many");
                    if let Some(name) = get("GET", &target) {
                        assert_eq!(name.strip_prefix("GET "), Some(&*target));
                        cached += 1;
                    }
                }
                assert!(cached <= SLOTS, "{cached}");
            };
            let threads = [(); 4].map(|()| scope.spawn(all));
            for thread in threads {
                thread.join().unwrap();
            }
        });
        assert_eq!(get("GET", &"x".repeat(MAX_LENGTH)), None);
    }

    #[test]
    fn every_byte_and_the_length_change_the_hash() {
        let mut seen = HashSet::new();
        for len in 0..70 {
            let zeroes = vec![0_u8; len];
            assert!(seen.insert(hash(&zeroes, 0)), "{len} zeroes");
            for at in 0..len {
                let mut bytes = zeroes.clone();
                *bytes.get_mut(at).unwrap() = 1;
                assert!(seen.insert(hash(&bytes, 0)), "byte {at} of {len}");
            }
        }
    }

    #[test]
    fn routes_that_differ_in_a_number_are_spread_evenly() {
        let mut counts = [0; 256];
        for route in 100..1_000 {
            let hash = hash(format!("/of/{route}/{{id}}").as_bytes(), 0);
            *counts.get_mut((hash >> 56) as usize).unwrap() += 1;
        }
        assert!(
            counts.iter().max().is_some_and(|most| *most < 16),
            "{counts:?}"
        );
    }
}
