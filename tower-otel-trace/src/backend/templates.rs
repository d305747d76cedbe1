//! A cache per thread of the name and attributes that spans of similar requests have in common.
//!
//! Most requests of a server repeat the method, the route and the host of an earlier one.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use http::Version;
use tower_otel_recorder::AttributeBuffer;

use super::repeated_fields::RepeatedFields;
use crate::template_key::TemplateKey;

const SLOTS: usize = 256;

/// The maximum length of each value of a key. A key with a longer value has no template.
const MAX_LENGTH: usize = 256;

thread_local! {
    static TEMPLATES: RefCell<Vec<Slot>> = const { RefCell::new(Vec::new()) };
}

/// The name and the first attributes of a span.
#[derive(Debug)]
#[cfg_attr(
    not(feature = "recorder-layer"),
    allow(dead_code, reason = "only `tracing` spans have fields")
)]
pub(crate) struct SpanTemplate {
    pub(crate) name: &'static str,
    /// The fields with the name and the attributes.
    pub(crate) fields: RepeatedFields,
    pub(crate) attributes: Arc<AttributeBuffer>,
}

#[derive(Default)]
struct Slot {
    /// The hash of the last key that was not found. A template is created when the same key misses twice in a row, so that a
    /// client that sends random hosts does not replace the templates of others.
    missed: Option<u64>,
    cached: Option<CachedTemplate>,
}

struct CachedTemplate {
    method: &'static str,
    route: Option<Box<str>>,
    scheme: &'static str,
    version: Version,
    host: Box<[u8]>,
    template: Rc<SpanTemplate>,
}

/// Returns the template of a key. If there is none, `make` creates it when the key misses twice in a row.
#[inline]
pub(crate) fn get(
    key: TemplateKey<'_>,
    make: impl FnOnce() -> Option<SpanTemplate>,
) -> Option<Rc<SpanTemplate>> {
    let get = |slots: &RefCell<Vec<Slot>>| {
        let mut slots = slots.try_borrow_mut().ok()?;
        let hash = key.hash();
        let index = (hash >> 56) as usize;
        let slot = match slots.get_mut(index) {
            Some(slot) => slot,
            None => allocate(&mut slots).get_mut(index)?,
        };
        match &slot.cached {
            Some(cached) if cached.is_for(&key) => Some(Rc::clone(&cached.template)),
            _ => slot.replace(hash, key, make),
        }
    };
    TEMPLATES.try_with(get).ok().flatten()
}

#[cold]
fn allocate(slots: &mut Vec<Slot>) -> &mut [Slot] {
    slots.resize_with(SLOTS, Slot::default);
    slots
}

impl Slot {
    #[cold]
    fn replace(
        &mut self,
        hash: u64,
        key: TemplateKey<'_>,
        make: impl FnOnce() -> Option<SpanTemplate>,
    ) -> Option<Rc<SpanTemplate>> {
        let is_second = self.missed.replace(hash) == Some(hash);
        let is_short = key.host.len().max(key.route.map_or(0, str::len)) <= MAX_LENGTH;
        if !is_second || !is_short {
            return None;
        }
        let template = Rc::new(make()?);
        self.missed = None;
        self.cached = Some(CachedTemplate {
            method: key.method,
            route: key.route.map(Into::into),
            scheme: key.scheme,
            version: key.version,
            host: key.host.into(),
            template: Rc::clone(&template),
        });
        Some(template)
    }
}

impl CachedTemplate {
    #[inline(always)]
    fn is_for(&self, key: &TemplateKey<'_>) -> bool {
        is_same(self.method, key.method)
            && is_same(self.scheme, key.scheme)
            && self.version == key.version
            && self.route.as_deref() == key.route
            && *self.host == *key.host
    }
}

/// Returns whether two texts are equal. Equal texts usually have the same address.
#[inline]
fn is_same(a: &'static str, b: &'static str) -> bool {
    std::ptr::eq(a, b) || a == b
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: TemplateKey<'static> = TemplateKey {
        method: "GET",
        route: Some("/users/{id}"),
        scheme: "http",
        version: Version::HTTP_11,
        host: b"shop.example:8080",
    };

    /// Returns the name of the template for a key, and whether it was created by this call.
    fn used(key: &TemplateKey<'_>, name: &'static str) -> (Option<String>, bool) {
        let mut is_made = false;
        let make = || {
            is_made = true;
            Some(SpanTemplate {
                name,
                fields: RepeatedFields::default(),
                attributes: AttributeBuffer::shared(|_| {}),
            })
        };
        let used = get(*key, make).map(|template| template.name.to_owned());
        (used, is_made)
    }

    fn has(used: &(Option<String>, bool), name: &str) -> bool {
        used.0.as_ref().is_some_and(|used| used.contains(name))
    }

    #[test]
    fn a_template_is_made_for_the_second_request_and_used_from_then_on() {
        assert_eq!(used(&KEY, "first"), (None, false));
        let second = used(&KEY, "second");
        assert!(has(&second, "second") && second.1);
        let third = used(&KEY, "third");
        assert!(has(&third, "second") && !third.1);
    }

    #[test]
    fn each_value_of_the_key_selects_another_template() {
        used(&KEY, "first");
        used(&KEY, "first");
        for other in [
            TemplateKey {
                method: "PUT",
                ..KEY
            },
            TemplateKey {
                route: Some("/users/{ID}"),
                ..KEY
            },
            TemplateKey { route: None, ..KEY },
            TemplateKey {
                scheme: "https",
                ..KEY
            },
            TemplateKey {
                version: Version::HTTP_2,
                ..KEY
            },
            TemplateKey {
                version: Version::HTTP_10,
                ..KEY
            },
            TemplateKey {
                host: b"shop.example:8081",
                ..KEY
            },
            TemplateKey { host: b"", ..KEY },
        ] {
            assert!(!has(&used(&other, "other"), "first"), "{other:?}");
        }
    }

    #[test]
    fn random_hosts_replace_no_template() {
        used(&KEY, "first");
        used(&KEY, "first");
        for host in 0..10_000 {
            let host = format!("{host}.example");
            let key = TemplateKey {
                host: host.as_bytes(),
                ..KEY
            };
            assert_eq!(used(&key, "random"), (None, false));
        }
        assert!(has(&used(&KEY, "second"), "first"));
    }

    #[test]
    fn a_key_with_a_long_value_has_no_template() {
        let long = "a".repeat(MAX_LENGTH + 1);
        for key in [
            TemplateKey {
                host: long.as_bytes(),
                ..KEY
            },
            TemplateKey {
                route: Some(&long),
                ..KEY
            },
        ] {
            for _ in 0..3 {
                assert_eq!(used(&key, "long"), (None, false));
            }
        }
    }
}
