//! Addresses of the servers of a cluster.

use std::collections::HashMap;
use std::sync::Arc;

use http::uri::Authority;
use parking_lot::RwLock;

use crate::key::ClusterKey;
use crate::seal::{self, Tag};

/// Maximum number of other servers.
const MAX_PEERS: usize = 4096;

/// Error of a list of servers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PeerAddressError {
    /// An address has no port, or is not an address at all.
    #[error("{0:?} is not the address of a server: write a host and a port, as 10.0.0.1:3000")]
    Invalid(String),
    /// There are more servers than a cluster may have.
    #[error("{0} servers are more than a cluster may have: {MAX_PEERS}")]
    TooMany(usize),
}

/// The other servers by their tags.
#[derive(Default)]
pub(crate) struct Peers(RwLock<HashMap<Tag, Arc<Authority>>>);

impl Peers {
    /// Replaces the list.
    pub(crate) fn set<I>(&self, key: &ClusterKey, addresses: I) -> Result<(), PeerAddressError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut peers = HashMap::new();
        for address in addresses {
            let address = address.as_ref();
            peers.insert(seal::tag(key, address), Arc::new(parse(address)?));
        }
        if peers.len() > MAX_PEERS {
            return Err(PeerAddressError::TooMany(peers.len()));
        }
        *self.0.write() = peers;
        Ok(())
    }

    pub(crate) fn find(&self, tag: Tag) -> Option<Arc<Authority>> {
        self.0.read().get(&tag).cloned()
    }
}

/// Parses a host and a port.
pub(crate) fn parse(address: &str) -> Result<Authority, PeerAddressError> {
    let authority = address.parse::<Authority>().ok();
    authority
        .filter(|authority| authority.port_u16().is_some() && !address.contains('@'))
        .ok_or_else(|| PeerAddressError::Invalid(address.chars().take(256).collect()))
}
