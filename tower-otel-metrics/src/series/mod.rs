//! The handles of every series, resolved once and then found without a lock or an allocation.
//!
//! A request knows the parts of its key as borrowed data (method, route, status). Building the
//! owned labels and asking the recorder for the handles costs a microsecond and several
//! allocations, so it happens once per key; afterwards finding them is a hash, one or two slots of
//! an array and one comparison.
//!
//! The table is bounded because part of a key may come from the network. It never forgets an
//! entry, so what is found may be kept, and once `limit` keys are known every new one is refused:
//! the caller counts those in one overflow series of its own.

mod hash;

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::num::NonZeroU32;
use std::sync::PoisonError;

use self::hash::Seeds;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{Mutex, OnceLock};

/// How many slots are looked at before a key counts as refused. At most half of the slots are
/// taken, so an honest key needs more with a probability of 2^-32; a crafted one pays for 32
/// comparisons of integers and lands in the overflow series, where its maker's keys end anyway.
const MAX_PROBES: usize = 32;

/// Slots are made up front, so an absurd limit has to be cut: half a million series are far more
/// than any scrape survives.
const MAX_LIMIT: usize = 1 << 19;

/// A borrowed key: hashed and compared on every request, owned only when its series is new.
pub(crate) trait Query: Hash {
    /// What the table keeps.
    type Key;

    /// Whether this is the query `key` was made from.
    fn is(&self, key: &Self::Key) -> bool;

    /// The key to keep.
    fn to_key(&self) -> Self::Key;
}

/// A bounded map from a key to the handles of its series, of which nothing is ever removed.
pub(crate) struct Series<K, V> {
    slots: Box<[OnceLock<Slot<K, V>>]>,
    seeds: Seeds,
    limit: usize,
    /// Entries in `slots`; written while `inserting` is held.
    len: AtomicUsize,
    inserting: Mutex<()>,
    refused: AtomicBool,
}

/// The hash lies in the array so that a foreign slot is passed over without leaving it.
struct Slot<K, V> {
    hash: u64,
    entry: Box<Entry<K, V>>,
}

#[derive(Debug)]
pub(crate) struct Entry<K, V> {
    pub(crate) key: K,
    /// Filled after the entry is visible: whatever makes the value runs outside the lock.
    value: OnceLock<V>,
}

/// Where an entry lies, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct At(NonZeroU32);

/// An entry and where it lies.
#[derive(Debug)]
pub(crate) struct Found<'a, K, V> {
    pub(crate) at: At,
    pub(crate) entry: &'a Entry<K, V>,
}

enum Probe<'a, K, V> {
    Found(Found<'a, K, V>),
    Vacant(At, &'a OnceLock<Slot<K, V>>),
    Crowded,
}

impl At {
    /// There are at most twice `MAX_LIMIT` slots.
    fn index(index: usize) -> Self {
        Self(NonZeroU32::MIN.saturating_add(index as u32))
    }

    /// To be hashed with the rest of a key.
    pub(crate) fn number(self) -> u32 {
        self.0.get()
    }
}

impl<K, V> fmt::Debug for Series<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Series")
            .field("len", &self.len())
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<K, V> Series<K, V> {
    /// A table of at most `limit` series.
    pub(crate) fn new(limit: usize) -> Self {
        let limit = limit.min(MAX_LIMIT);
        let slots = (limit * 2).next_power_of_two();
        Self {
            slots: (0..slots).map(|_| OnceLock::new()).collect(),
            seeds: Seeds::random(),
            limit,
            len: AtomicUsize::new(0),
            inserting: Mutex::new(()),
            refused: AtomicBool::new(false),
        }
    }

    /// The handles of `query`, if they are there.
    #[inline]
    pub(crate) fn get<Q>(&self, query: &Q) -> Option<&V>
    where
        Q: Query<Key = K>,
    {
        self.get_at(query).map(|(_, handles)| handles)
    }

    /// The same, and where they lie.
    #[inline]
    pub(crate) fn get_at<Q>(&self, query: &Q) -> Option<(At, &V)>
    where
        Q: Query<Key = K>,
    {
        match self.probe(self.seeds.hash_one(query), query) {
            Probe::Found(Found { at, entry }) => Some((at, entry.get()?)),
            Probe::Vacant(..) | Probe::Crowded => None,
        }
    }

    /// The entry of `query`, without handles if it is new; `None` if the table is full and the key
    /// not in it.
    #[inline]
    pub(crate) fn find<Q>(&self, query: &Q) -> Option<Found<'_, K, V>>
    where
        Q: Query<Key = K>,
    {
        let hash = self.seeds.hash_one(query);
        match self.probe(hash, query) {
            Probe::Found(found) => Some(found),
            Probe::Vacant(..) => self.insert(hash, query),
            Probe::Crowded => None,
        }
    }

    /// The entry that lies there.
    #[inline]
    pub(crate) fn entry(&self, at: At) -> Option<&Entry<K, V>> {
        let index = at.number() as usize - 1;
        Some(&self.slots.get(index)?.get()?.entry)
    }

    /// The handles of `query`, from `make` if they are asked for the first time; `None` if the
    /// table is full and the key not in it.
    #[inline]
    pub(crate) fn get_or_insert_with<Q>(&self, query: &Q, make: impl FnOnce(&K) -> V) -> Option<&V>
    where
        Q: Query<Key = K>,
    {
        Some(self.find(query)?.entry.get_or_make(make))
    }

    /// How many series there are.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// True for one caller ever: whoever is refused asks, and the one who is told warns.
    pub(crate) fn first_refusal(&self) -> bool {
        !self.refused.load(Ordering::Relaxed) && !self.refused.swap(true, Ordering::Relaxed)
    }

    /// Takes a slot for a key that was not there a moment ago. A full table turns away without
    /// the lock, so it is taken about `limit` times in the life of a process.
    #[cold]
    fn insert<Q>(&self, hash: u64, query: &Q) -> Option<Found<'_, K, V>>
    where
        Q: Query<Key = K>,
    {
        if self.len() >= self.limit {
            return None;
        }
        let _guard = self
            .inserting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match self.probe(hash, query) {
            Probe::Found(found) => Some(found),
            Probe::Vacant(at, slot) if self.len() < self.limit => {
                let entry = Box::new(Entry {
                    key: query.to_key(),
                    value: OnceLock::new(),
                });
                let slot = slot.get_or_init(|| Slot { hash, entry });
                self.len.fetch_add(1, Ordering::Release);
                let entry = &slot.entry;
                Some(Found { at, entry })
            }
            Probe::Vacant(..) | Probe::Crowded => None,
        }
    }

    /// Walks the slots of `hash`, always in the same order. Slots are only ever filled, the first
    /// vacant one first, so no key lies behind a vacant slot of its own walk.
    #[inline]
    fn probe<Q>(&self, hash: u64, query: &Q) -> Probe<'_, K, V>
    where
        Q: Query<Key = K>,
    {
        // The number of slots is a power of two and the step odd: the walk meets each slot once.
        let mask = self.slots.len().wrapping_sub(1);
        let step = (hash >> 32) as usize | 1;
        let mut walk = hash as usize;
        for _ in 0..MAX_PROBES.min(self.slots.len()) {
            let index = walk & mask;
            let Some(cell) = self.slots.get(index) else {
                break;
            };
            let at = At::index(index);
            match cell.get() {
                None => return Probe::Vacant(at, cell),
                Some(slot) if slot.hash == hash && query.is(&slot.entry.key) => {
                    let entry = &slot.entry;
                    return Probe::Found(Found { at, entry });
                }
                Some(_) => walk = walk.wrapping_add(step),
            }
        }
        Probe::Crowded
    }
}

impl<K, V> Entry<K, V> {
    /// The handles, if they have been made.
    #[inline]
    pub(crate) fn get(&self) -> Option<&V> {
        self.value.get()
    }

    /// The handles, from `make` if they are asked for the first time.
    ///
    /// `make` runs once per key, however many threads ask at the same time: the others wait for
    /// it. If it panics, the next caller tries again. It must not ask for the same key itself.
    #[inline]
    pub(crate) fn get_or_make(&self, make: impl FnOnce(&K) -> V) -> &V {
        self.value.get_or_init(|| make(&self.key))
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
    use std::hint::black_box;
    use std::sync::Barrier;
    use std::sync::mpsc;
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    #[derive(Hash)]
    struct Route<'a> {
        method: &'static str,
        path: &'a str,
        status: u16,
    }

    impl Query for Route<'_> {
        type Key = (&'static str, Box<str>, u16);

        fn is(&self, key: &Self::Key) -> bool {
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

    /// A key whose hash is always the same, as an attacker who knew the seeds would send it.
    struct Colliding(u32);

    impl Hash for Colliding {
        fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
            state.write_u32(7);
        }
    }

    impl Query for Colliding {
        type Key = u32;

        fn is(&self, key: &u32) -> bool {
            self.0 == *key
        }

        fn to_key(&self) -> u32 {
            self.0
        }
    }

    #[test]
    fn a_known_key_is_found_without_being_made_again() {
        let series = Series::new(10);
        let first = std::ptr::from_ref(series.get_or_insert_with(&get("/a"), |_| 1).unwrap());
        for _ in 0..100 {
            let again = series
                .get_or_insert_with(&get("/a"), |_| panic!("made twice"))
                .unwrap();
            assert_eq!(first, std::ptr::from_ref(again));
        }
        assert_eq!(series.len(), 1);
    }

    #[test]
    fn every_part_of_the_key_tells_series_apart() {
        let series = Series::new(10);
        for method in ["GET", "PUT"] {
            for path in ["/a", "/b"] {
                for status in [200, 404] {
                    let query = Route {
                        method,
                        path,
                        status,
                    };
                    let made = series
                        .get_or_insert_with(&query, |key| (key.0, key.1.clone(), key.2))
                        .unwrap();
                    assert_eq!((made.0, &*made.1, made.2), (method, path, status));
                }
            }
        }
        assert_eq!(series.len(), 8);
    }

    #[test]
    fn an_entry_stays_where_it_was_found() {
        let series = Series::new(100);
        let paths: Vec<String> = (0..100).map(|n| format!("/{n}")).collect();
        let places: Vec<At> = paths
            .iter()
            .map(|path| series.find(&get(path)).unwrap().at)
            .collect();
        assert!(series.get(&get("/7")).is_none(), "nobody has made it yet");
        for (path, at) in paths.iter().zip(&places) {
            assert_eq!(series.find(&get(path)).unwrap().at, *at);
            let entry = series.entry(*at).unwrap();
            assert_eq!(*entry.key.1, **path);
            assert_eq!(entry.get_or_make(|key| key.1.len()), &path.len());
        }
        assert_eq!(series.get(&get("/42")), Some(&3));
        assert!(series.find(&get("/more")).is_none());
    }

    #[test]
    fn threads_racing_for_the_same_keys_share_one_value_each() {
        const THREADS: usize = 8;
        let paths: Vec<String> = (0..1000).map(|n| format!("/orders/{n}")).collect();
        let series = Series::new(paths.len());
        let made = AtomicUsize::new(0);
        let start = Barrier::new(THREADS);
        let seen: Vec<Vec<(usize, usize)>> = thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        let value = |path: &String| {
                            let value = series
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
        assert_eq!((values.len(), series.len()), (paths.len(), paths.len()));
        assert_eq!(made.into_inner(), paths.len());
    }

    #[test]
    fn a_million_distinct_keys_leave_the_table_at_its_limit() {
        let series = Series::new(1000);
        let mut path = String::new();
        let mut made = 0;
        for n in 0..1_000_000 {
            use std::fmt::Write;
            path.clear();
            write!(path, "/{n}").unwrap();
            let found = series.get_or_insert_with(&get(&path), |_| made += 1);
            assert_eq!(found.is_some(), n < 1000, "{path}");
        }
        assert_eq!((series.len(), made), (1000, 1000));
        assert!(
            series
                .get_or_insert_with(&get("/999"), |_| panic!("known"))
                .is_some()
        );
    }

    #[test]
    fn threads_racing_past_the_limit_fill_exactly_that_many() {
        let series = Series::new(100);
        let kept: usize = thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|worker| {
                    let series = &series;
                    let kept = move |n: &i32| {
                        series
                            .get_or_insert_with(&get(&format!("/{worker}/{n}")), |_| ())
                            .is_some()
                    };
                    scope.spawn(move || (0..100).filter(kept).count())
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!((kept, series.len()), (100, 100));
    }

    #[test]
    fn a_refusal_is_announced_once() {
        let series = Series::new(0);
        assert!(series.get_or_insert_with(&get("/"), |_| ()).is_none());
        let told: usize = thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| usize::from(series.first_refusal())))
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .sum()
        });
        assert_eq!(told, 1);
        assert!(!series.first_refusal());
    }

    #[test]
    fn an_absurd_limit_is_cut_and_a_small_one_kept() {
        assert_eq!(Series::<u32, ()>::new(usize::MAX).limit, MAX_LIMIT);
        for limit in 1..20_u32 {
            let series = Series::new(limit as usize);
            let kept = (0..100)
                .filter(|n| {
                    series
                        .get_or_insert_with(&get(&n.to_string()), |_| ())
                        .is_some()
                })
                .count();
            assert_eq!(kept, limit as usize);
        }
    }

    #[test]
    fn colliding_keys_are_refused_instead_of_searched_for() {
        let series = Series::new(1000);
        for n in 0..200 {
            let found = series.get_or_insert_with(&Colliding(n), |key| *key);
            assert_eq!(found.copied(), ((n as usize) < MAX_PROBES).then_some(n));
        }
        assert_eq!(series.len(), MAX_PROBES);
    }

    #[test]
    fn a_panic_while_making_a_value_leaves_the_key_usable() {
        let series = Series::new(1);
        let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            series.get_or_insert_with(&get("/"), |_| panic!("the recorder failed"));
        }));
        assert!(failed.is_err());
        assert_eq!(series.get_or_insert_with(&get("/"), |_| 1), Some(&1));
        assert_eq!(series.len(), 1);
    }

    #[test]
    fn making_a_value_holds_up_no_other_key() {
        let series = Series::new(2);
        let (entered, is_entered) = mpsc::channel();
        let (leave, may_leave) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let slow = scope.spawn(|| {
                series.get_or_insert_with(&get("/slow"), move |_| {
                    entered.send(()).unwrap();
                    may_leave.recv_timeout(Duration::from_secs(60)).unwrap();
                });
            });
            is_entered.recv_timeout(Duration::from_secs(60)).unwrap();
            assert!(series.get_or_insert_with(&get("/quick"), |_| ()).is_some());
            leave.send(()).unwrap();
            slow.join().unwrap();
        });
    }

    /// `cargo test --release -p tower-otel-metrics -- --ignored --nocapture lookup_cost`
    #[test]
    #[ignore = "a measurement, not a claim"]
    fn lookup_cost() {
        const ROUNDS: u32 = 20_000;
        let paths: Vec<String> = (0..200)
            .map(|n| format!("/api/v1/users/{n}/orders"))
            .collect();
        let series = Series::new(1000);
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
            black_box(series.get_or_insert_with(black_box(&get(path)), |_| 0_u64));
        });
        let full = Series::<_, u64>::new(100);
        (0..100).for_each(|n| {
            full.get_or_insert_with(&get(&n.to_string()), |_| n);
        });
        per_lookup("refused", &|path| {
            black_box(full.get_or_insert_with(black_box(&get(path)), |_| 0));
        });
        let ours = Seeds::random();
        per_lookup("hash alone", &|path| {
            black_box(ours.hash_one(black_box(get(path))));
        });
        let std = std::hash::RandomState::new();
        per_lookup("hash alone, SipHash", &|path| {
            black_box(std.hash_one(black_box(get(path))));
        });
    }
}
