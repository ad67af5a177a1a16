//! Key of a cluster.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Minimum length of a key, in bytes.
pub(crate) const MIN_KEY_BYTES: usize = 16;

/// Number of bytes of a message authentication code (HMAC-SHA-256, RFC 2104).
pub(crate) const MAC_BYTES: usize = 32;

/// Secret that all servers of a cluster have.
#[derive(Clone)]
pub(crate) struct ClusterKey(Hmac<Sha256>);

/// Use of a code, so that a code for one purpose is not valid for another.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    /// Tag of a server in the ids of its sessions.
    Tag,
    /// Mark of a relayed request.
    Mark,
    /// Round of the permutation that seals an id.
    Round(u8),
}

impl ClusterKey {
    /// Accepts a key that is long enough.
    pub(crate) fn new(key: &[u8]) -> Option<Self> {
        if key.len() < MIN_KEY_BYTES {
            return None;
        }
        Hmac::new_from_slice(key).ok().map(Self)
    }

    pub(crate) fn code(&self, purpose: Purpose, message: &[u8]) -> [u8; MAC_BYTES] {
        self.mac(purpose, message).finalize().into_bytes().into()
    }

    /// Compares a code in constant time.
    pub(crate) fn verify(&self, purpose: Purpose, message: &[u8], code: &[u8]) -> bool {
        self.mac(purpose, message).verify_slice(code).is_ok()
    }

    fn mac(&self, purpose: Purpose, message: &[u8]) -> Hmac<Sha256> {
        let label = match purpose {
            Purpose::Tag => 1,
            Purpose::Mark => 2,
            Purpose::Round(round) => 16 + round,
        };
        let mut mac = self.0.clone();
        mac.update(&[label]);
        mac.update(message);
        mac
    }
}
