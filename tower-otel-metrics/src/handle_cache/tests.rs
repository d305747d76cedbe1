#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash};
use std::hint::black_box;
use std::sync::Barrier;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::{
    handle_cache::{
        cache::{HandleCache, MAX_LIMIT, MAX_PROBES},
        entry::EntryIndex,
        entry_share::EntryShare,
        hash::Seeds,
        query::Query,
    },
    sync::atomic::{AtomicUsize, Ordering},
};

#[derive(Hash)]
struct Route<'a> {
    method: &'static str,
    path: &'a str,
    status: u16,
}

impl Query for Route<'_> {
    type Key = (&'static str, Box<str>, u16);

    fn matches(&self, key: &Self::Key) -> bool {
        self.status == key.2 && self.method == key.0 && *self.path == *key.1
    }

    fn to_key(&self) -> Self::Key {
        (self.method, self.path.into(), self.status)
    }
}

fn get(path: &str) -> Route<'_> {
    Route {
        method: "GET",
        path,
        status: 200,
    }
}

#[derive(Hash)]
struct Number(u32);

impl Query for Number {
    type Key = u32;

    fn matches(&self, key: &u32) -> bool {
        self.0 == *key
    }

    fn to_key(&self) -> u32 {
        self.0
    }
}

/// A key whose hash is always the same. An attacker who knows the seeds can send such keys.
struct Colliding(u32);

impl Hash for Colliding {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u32(7);
    }
}

impl Query for Colliding {
    type Key = u32;

    fn matches(&self, key: &u32) -> bool {
        self.0 == *key
    }

    fn to_key(&self) -> u32 {
        self.0
    }
}

#[test]
fn every_share_finds_entries_left_while_others_take_all_they_can() {
    let cache = HandleCache::<u32, ()>::new(2_000);
    let mut keys = (0..).map(Number);
    for (owner, expected) in [1_000, 500, 250, 125, 63, 31, 16].into_iter().enumerate() {
        let share = EntryShare::up_to(usize::MAX);
        let before = cache.len();
        while cache
            .find_or_insert_in(&keys.next().unwrap(), Some(&share))
            .is_some()
        {}
        assert_eq!(cache.len() - before, expected, "share {owner}");
    }
}

#[test]
fn a_key_counts_once_in_its_share() {
    let cache = HandleCache::new(10);
    let share = EntryShare::up_to(2);
    for _ in 0..5 {
        cache.find_or_insert_in(&get("/a"), Some(&share)).unwrap();
    }
    cache.find_or_insert_in(&get("/b"), Some(&share)).unwrap();
    assert!(cache.find_or_insert_in(&get("/c"), Some(&share)).is_none());
    assert!(cache.find_or_insert_in(&get("/a"), Some(&share)).is_some());
    assert!(cache.find_or_insert(&get("/c")).is_some());
    cache.get_or_insert_with(&get("/a"), |_| 1).unwrap();
}

#[test]
fn a_known_key_returns_the_same_value() {
    let cache = HandleCache::new(10);
    let first = std::ptr::from_ref(cache.get_or_insert_with(&get("/a"), |_| 1).unwrap());
    for _ in 0..100 {
        let again = cache
            .get_or_insert_with(&get("/a"), |_| panic!("made twice"))
            .unwrap();
        assert_eq!(first, std::ptr::from_ref(again));
    }
    assert_eq!(cache.len(), 1);
}

#[test]
fn keys_that_differ_in_any_part_have_different_values() {
    let cache = HandleCache::new(10);
    for method in ["GET", "PUT"] {
        for path in ["/a", "/b"] {
            for status in [200, 404] {
                let query = Route {
                    method,
                    path,
                    status,
                };
                let made = cache
                    .get_or_insert_with(&query, |key| (key.0, key.1.clone(), key.2))
                    .unwrap();
                assert_eq!((made.0, &*made.1, made.2), (method, path, status));
            }
        }
    }
    assert_eq!(cache.len(), 8);
}

#[test]
fn the_index_of_an_entry_does_not_change() {
    let cache = HandleCache::new(100);
    let paths: Vec<String> = (0..100).map(|n| format!("/{n}")).collect();
    let indexes: Vec<EntryIndex> = paths
        .iter()
        .map(|path| cache.find_or_insert(&get(path)).unwrap().index)
        .collect();
    assert!(cache.get(&get("/7")).is_none(), "the value is not made yet");
    for (path, index) in paths.iter().zip(&indexes) {
        assert_eq!(cache.find_or_insert(&get(path)).unwrap().index, *index);
        let entry = cache.entry(*index).unwrap();
        assert_eq!(*entry.key.1, **path);
        assert_eq!(entry.get_or_init(|key| key.1.len()), &path.len());
    }
    assert_eq!(cache.get(&get("/42")), Some(&3));
    assert!(cache.find_or_insert(&get("/overflow")).is_none());
}

#[test]
fn concurrent_threads_get_one_value_per_key() {
    const THREADS: usize = 8;
    let paths: Vec<String> = (0..1000).map(|n| format!("/orders/{n}")).collect();
    let cache = HandleCache::new(paths.len());
    let made = AtomicUsize::new(0);
    let start = Barrier::new(THREADS);
    let seen: Vec<Vec<(usize, usize)>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let value = |path: &String| {
                        let value = cache
                            .get_or_insert_with(&get(path), |_| {
                                made.fetch_add(1, Ordering::Relaxed)
                            })
                            .expect("the limit is the number of keys");
                        (*value, std::ptr::from_ref(value) as usize)
                    };
                    paths.iter().map(value).collect()
                })
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .collect()
    });
    for other in &seen {
        assert_eq!(other, &seen[0]);
    }
    let values: HashSet<_> = seen[0].iter().collect();
    assert_eq!((values.len(), cache.len()), (paths.len(), paths.len()));
    assert_eq!(made.into_inner(), paths.len());
}

#[test]
fn a_million_distinct_keys_do_not_exceed_the_limit() {
    let cache = HandleCache::new(1000);
    let mut path = String::new();
    let mut made = 0;
    for n in 0..1_000_000 {
        use std::fmt::Write;
        path.clear();
        write!(path, "/{n}").unwrap();
        let found = cache.get_or_insert_with(&get(&path), |_| made += 1);
        assert_eq!(found.is_some(), n < 1000, "{path}");
    }
    assert_eq!((cache.len(), made), (1000, 1000));
    assert!(
        cache
            .get_or_insert_with(&get("/999"), |_| panic!("known"))
            .is_some()
    );
}

#[test]
fn concurrent_threads_insert_exactly_the_limit() {
    let cache = HandleCache::new(100);
    let inserted: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let cache = &cache;
                let inserted = move |n: &i32| {
                    cache
                        .get_or_insert_with(&get(&format!("/{worker}/{n}")), |_| ())
                        .is_some()
                };
                scope.spawn(move || (0..100).filter(inserted).count())
            })
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    assert_eq!((inserted, cache.len()), (100, 100));
}

#[test]
fn first_overflow_is_true_once() {
    let cache = HandleCache::new(0);
    assert!(cache.get_or_insert_with(&get("/"), |_| ()).is_none());
    let warnings: usize = thread::scope(|scope| {
        let workers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| usize::from(cache.first_overflow())))
            .collect();
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap())
            .sum()
    });
    assert_eq!(warnings, 1);
    assert!(!cache.first_overflow());
}

#[test]
fn the_limit_of_series_is_exact_up_to_the_maximum() {
    assert_eq!(HandleCache::<u32, ()>::new(usize::MAX).limit, MAX_LIMIT);
    for limit in 1..20_u32 {
        let cache = HandleCache::new(limit as usize);
        let inserted = (0..100)
            .filter(|n| {
                cache
                    .get_or_insert_with(&get(&n.to_string()), |_| ())
                    .is_some()
            })
            .count();
        assert_eq!(inserted, limit as usize);
    }
}

#[test]
fn colliding_keys_are_rejected_after_a_bounded_search() {
    let cache = HandleCache::new(1000);
    for n in 0..200 {
        let found = cache.get_or_insert_with(&Colliding(n), |key| *key);
        assert_eq!(found.copied(), ((n as usize) < MAX_PROBES).then_some(n));
    }
    assert_eq!(cache.len(), MAX_PROBES);
}

#[test]
fn a_panic_while_making_a_value_does_not_poison_the_key() {
    let cache = HandleCache::new(1);
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cache.get_or_insert_with(&get("/"), |_| panic!("the recorder failed"));
    }));
    assert!(failed.is_err());
    assert_eq!(cache.get_or_insert_with(&get("/"), |_| 1), Some(&1));
    assert_eq!(cache.len(), 1);
}

#[test]
fn making_a_value_does_not_block_other_keys() {
    let cache = HandleCache::new(2);
    let (entered, is_entered) = mpsc::channel();
    let (leave, may_leave) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            cache.get_or_insert_with(&get("/slow"), move |_| {
                entered.send(()).unwrap();
                may_leave.recv_timeout(Duration::from_secs(60)).unwrap();
            });
        });
        is_entered.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(cache.get_or_insert_with(&get("/quick"), |_| ()).is_some());
        leave.send(()).unwrap();
        slow.join().unwrap();
    });
}

/// `cargo test --release -p tower-otel-metrics -- --ignored --nocapture lookup_cost`
#[test]
#[ignore = "a measurement"]
fn lookup_cost() {
    const ROUNDS: u32 = 20_000;
    let paths: Vec<String> = (0..200)
        .map(|n| format!("/api/v1/users/{n}/orders"))
        .collect();
    let cache = HandleCache::new(1000);
    let per_lookup = |label: &str, run: &dyn Fn(&str)| {
        let best = (0..5)
            .map(|_| {
                let start = Instant::now();
                for _ in 0..ROUNDS {
                    paths.iter().for_each(|path| run(path));
                }
                start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS) / paths.len() as f64
            })
            .fold(f64::INFINITY, f64::min);
        println!("{label}: {best:.1} ns");
    };
    per_lookup("hit", &|path| {
        black_box(cache.get_or_insert_with(black_box(&get(path)), |_| 0_u64));
    });
    let full = HandleCache::<_, u64>::new(100);
    (0..100).for_each(|n| {
        full.get_or_insert_with(&get(&n.to_string()), |_| n);
    });
    per_lookup("rejected", &|path| {
        black_box(full.get_or_insert_with(black_box(&get(path)), |_| 0));
    });
    let seeds = Seeds::random();
    per_lookup("hash alone", &|path| {
        black_box(seeds.hash_one(black_box(get(path))));
    });
    let std = std::hash::RandomState::new();
    per_lookup("hash alone, SipHash", &|path| {
        black_box(std.hash_one(black_box(get(path))));
    });
}
