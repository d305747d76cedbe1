//! A cache of span names that lasts as long as the process.

use std::sync::OnceLock;

/// The maximum number of cached names. There is one name for each method and route. Further names are built for each
/// span.
const SLOTS: usize = 1024;

/// The maximum number of slots that are tried for a name.
const MAX_PROBES: usize = 8;

/// The maximum length of a cached name.
const MAX_LENGTH: usize = 256;

static NAMES: [OnceLock<Box<str>>; SLOTS] = [const { OnceLock::new() }; SLOTS];

/// Returns `{method} {target}` from the cache, or `None` if the cache has no room for it.
pub(crate) fn get(method: &str, target: &str) -> Option<&'static str> {
    let is_match = |name: &str| {
        name.strip_prefix(method)
            .and_then(|rest| rest.strip_prefix(' '))
            .is_some_and(|rest| rest == target)
    };
    let start = slot(method, target);
    for index in (start..).take(MAX_PROBES) {
        let slot = NAMES.get(index % SLOTS)?;
        let name = match slot.get() {
            Some(name) => name,
            None if method.len() + target.len() < MAX_LENGTH => {
                // Another thread may have set another name first.
                slot.get_or_init(|| [method, " ", target].concat().into_boxed_str())
            }
            None => return None,
        };
        if is_match(name) {
            return Some(name);
        }
    }
    None
}

fn slot(method: &str, target: &str) -> usize {
    let method = method.bytes().next().map_or(0, u64::from) ^ (method.len() as u64) << 8;
    (hash_ends(target.as_bytes(), method) >> 54) as usize
}

/// Hashes the length, the start and the end of a text. Use the highest bits, which differ most. Different texts may have the
/// same hash, so a lookup must compare the texts.
pub(crate) fn hash_ends(text: &[u8], seed: u64) -> u64 {
    let ends = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
        (Some(first), Some(last)) => {
            u64::from_ne_bytes(*first) ^ u64::from_ne_bytes(*last).rotate_left(32)
        }
        _ => text
            .iter()
            .fold(0, |ends, byte| ends << 8 | u64::from(*byte)),
    };
    (ends ^ (text.len() as u64) << 32 ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_name_is_built_once() {
        let [first, second] = [(); 2].map(|()| get("GET", "/made/{once}").unwrap());
        assert_eq!(first, "GET /made/{once}");
        assert_eq!(first.as_ptr(), second.as_ptr());
    }

    #[test]
    fn similar_names_are_distinguished() {
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
    }

    #[test]
    fn the_cache_is_bounded_and_every_name_is_right_or_absent() {
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
}
