//! Names of spans, kept for the life of the process so that each is made once.

use std::sync::OnceLock;

/// How many names are kept. There are as many as routes, times methods; the rest are made anew.
const PLACES: usize = 1024;

/// How many places are tried for a name.
const TRIES: usize = 8;

/// Longer names are not kept.
const LONGEST: usize = 256;

static NAMES: [OnceLock<Box<str>>; PLACES] = [const { OnceLock::new() }; PLACES];

/// `{method} {target}`, if there is room for it.
pub(crate) fn kept(method: &str, target: &str) -> Option<&'static str> {
    let is = |name: &str| {
        name.strip_prefix(method)
            .and_then(|rest| rest.strip_prefix(' '))
            .is_some_and(|rest| rest == target)
    };
    let start = place(method, target);
    for at in (start..).take(TRIES) {
        let place = NAMES.get(at % PLACES)?;
        let name = match place.get() {
            Some(name) => name,
            None if method.len() + target.len() < LONGEST => {
                // It is the other's where another thread was faster.
                place.get_or_init(|| [method, " ", target].concat().into_boxed_str())
            }
            None => return None,
        };
        if is(name) {
            return Some(name);
        }
    }
    None
}

fn place(method: &str, target: &str) -> usize {
    let method = method.bytes().next().map_or(0, u64::from) ^ (method.len() as u64) << 8;
    (ends(target.as_bytes(), method) >> 54) as usize
}

/// A number made of the length and both ends of a text, whose highest bits differ most. It is no
/// hash of the whole: whoever finds something by it has to compare.
pub(crate) fn ends(text: &[u8], seed: u64) -> u64 {
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
    fn a_name_is_made_once() {
        let [first, second] = [(); 2].map(|()| kept("GET", "/made/{once}").unwrap());
        assert_eq!(first, "GET /made/{once}");
        assert_eq!(first.as_ptr(), second.as_ptr());
    }

    #[test]
    fn what_looks_alike_is_told_apart() {
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
            let name = kept(method, target).unwrap();
            assert_eq!(name, format!("{method} {target}"));
        }
    }

    #[test]
    fn there_is_an_end_to_what_is_kept_and_every_name_is_right_or_absent() {
        thread::scope(|scope| {
            let all = || {
                let mut kept_names = 0;
                for route in 0..5 * PLACES {
                    let target = format!("/a/route/{route}/of/many");
                    if let Some(name) = kept("GET", &target) {
                        assert_eq!(name.strip_prefix("GET "), Some(&*target));
                        kept_names += 1;
                    }
                }
                assert!(kept_names <= PLACES, "{kept_names}");
            };
            let threads = [(); 4].map(|()| scope.spawn(all));
            for thread in threads {
                thread.join().unwrap();
            }
        });
        assert_eq!(kept("GET", &"x".repeat(LONGEST)), None);
    }
}
