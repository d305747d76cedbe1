//! The rule for which hops of a request are trusted proxies.

use std::sync::Arc;

use crate::cidr::Cidr;
use crate::endpoint::Endpoint;

/// The rule that decides whether a hop is a trusted proxy.
#[derive(Clone, Debug, Default)]
pub(crate) enum ProxyTrust {
    /// No hop is trusted.
    #[default]
    None,
    /// This number of nearest hops is trusted.
    Hops(usize),
    /// Hops with an address in one of the ranges are trusted.
    Cidrs(Arc<[Cidr]>),
    /// Every hop is trusted.
    All,
}

impl ProxyTrust {
    /// Returns `true` if the hop at this distance is trusted. The peer has distance 0.
    pub(crate) fn trusts(&self, distance: usize, hop: Option<Endpoint>) -> bool {
        match self {
            Self::None => false,
            Self::Hops(n) => distance < *n,
            Self::Cidrs(ranges) => hop.is_some_and(|hop| {
                let address = hop.address.to_canonical();
                ranges.iter().any(|range| range.contains(address))
            }),
            Self::All => true,
        }
    }

    /// Returns the number of trusted entries in a list without addresses. `hops` is the number of trusted hops.
    pub(crate) fn trusted_entries(&self, hops: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Hops(n) => *n,
            Self::Cidrs(_) => hops,
            Self::All => usize::MAX,
        }
    }
}
