//! Sealed session ids: the tag of a server and random bytes, permuted under the key of the cluster.
//!
//! The permutation is a Feistel network of four rounds with HMAC-SHA-256 (Luby and Rackoff): without the key an id
//! looks random, and an id that was changed in any bit has the tag of a server with a probability of the number of
//! servers in 2³².

use fanfare_engine::relay::SESSION_ID_BYTES;

use crate::key::{ClusterKey, Purpose};

/// Number of bytes of a server's tag. The remaining 88 bits of an id are random.
pub(crate) const TAG_BYTES: usize = 4;

/// Number of bytes of the left half.
const LEFT: usize = SESSION_ID_BYTES / 2;

/// Tag of a server.
pub(crate) type Tag = [u8; TAG_BYTES];

pub(crate) type SessionId = [u8; SESSION_ID_BYTES];

/// Returns the tag of the server with this address.
pub(crate) fn tag(key: &ClusterKey, address: &str) -> Tag {
    let code = key.code(Purpose::Tag, address.as_bytes());
    let mut tag = Tag::default();
    tag.copy_from_slice(&code[..TAG_BYTES]);
    tag
}

/// Creates an id of random bytes, the first of which are replaced by the tag.
pub(crate) fn seal(key: &ClusterKey, tag: Tag, mut id: SessionId) -> SessionId {
    id[..TAG_BYTES].copy_from_slice(&tag);
    for round in 0..4 {
        mix(key, round, &mut id);
    }
    id
}

/// Returns the tag in an id. That of a forged id is random.
pub(crate) fn unseal(key: &ClusterKey, mut id: SessionId) -> Tag {
    for round in (0..4).rev() {
        mix(key, round, &mut id);
    }
    let mut tag = Tag::default();
    tag.copy_from_slice(&id[..TAG_BYTES]);
    tag
}

/// Mixes one half into the other; a second call with the same arguments reverts it.
fn mix(key: &ClusterKey, round: u8, id: &mut SessionId) {
    let (left, right) = id.split_at_mut(LEFT);
    let (from, into) = match round % 2 {
        0 => (left, right),
        _ => (right, left),
    };
    let code = key.code(Purpose::Round(round), from);
    for (byte, mask) in into.iter_mut().zip(code) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ClusterKey {
        ClusterKey::new(b"0123456789abcdef").unwrap()
    }

    #[test]
    fn a_tag_comes_back_and_other_keys_and_changed_ids_have_others() {
        let key = key();
        let tag = tag(&key, "10.0.0.1:3000");
        let other_key = ClusterKey::new(b"0123456789abcdeF").unwrap();
        for n in 0..=255 {
            let sealed = seal(&key, tag, [n; SESSION_ID_BYTES]);
            assert_eq!(unseal(&key, sealed), tag);
            assert_ne!(unseal(&other_key, sealed), tag);
            for bit in 0..SESSION_ID_BYTES * 8 {
                let mut forged = sealed;
                forged[bit / 8] ^= 1 << (bit % 8);
                assert_ne!(unseal(&key, forged), tag, "bit {bit} of {sealed:?}");
            }
        }
    }

    #[test]
    fn ids_of_one_server_have_nothing_in_common() {
        let key = key();
        let tag = tag(&key, "10.0.0.1:3000");
        let mut ones = [0_u32; SESSION_ID_BYTES * 8];
        for n in 0_u32..4096 {
            let mut random = [0; SESSION_ID_BYTES];
            random[SESSION_ID_BYTES - 4..].copy_from_slice(&n.to_be_bytes());
            let sealed = seal(&key, tag, random);
            for (bit, ones) in ones.iter_mut().enumerate() {
                *ones += u32::from(sealed[bit / 8] >> (bit % 8) & 1);
            }
        }
        // 2048 expected, with a standard deviation of 32.
        assert!(
            ones.iter().all(|ones| (1840..2256).contains(ones)),
            "{ones:?}"
        );
    }
}
