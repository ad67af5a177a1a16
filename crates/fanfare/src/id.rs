//! Public socket ids.

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use fanfare_protocol::socket::{ArgWriter, EncodeError, IntoArgs};

const RAW_ID_BYTES: usize = 15;
const TEXT_ID_BYTES: usize = 20;
const IDS_PER_RANDOM_READ: usize = 16;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The public, ephemeral id of a [`Socket`](crate::Socket): 20 characters of `[A-Za-z0-9_-]`, new with every
/// connection that is not recovered.
///
/// It is never the Engine.IO session id: a peer that knows it gains no access to its owner's transport. The exception
/// are clients of Socket.IO v2 with [`eio3_transport_ids`](crate::SocketIoBuilder::eio3_transport_ids), which have the
/// ids that they assign themselves: the session id in the main namespace, `/chat#` and the session id in others.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(Repr);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Repr {
    Random([u8; TEXT_ID_BYTES]),
    /// Id of a v2 client.
    Derived(Arc<str>),
}

impl SocketId {
    /// Returns a random id: 15 bytes from the system's secure source.
    pub(crate) fn random() -> Self {
        Self(Repr::Random(encode(&random_bytes())))
    }

    /// Returns the id of a session that another node has stored, if it is one.
    pub(crate) fn of_session(text: &str) -> Option<Self> {
        let text: [u8; TEXT_ID_BYTES] = text.as_bytes().try_into().ok()?;
        let valid = text.iter().all(|byte| ALPHABET.contains(byte));
        valid.then_some(Self(Repr::Random(text)))
    }

    /// Returns the id that a client of Socket.IO v2 assigns itself in a namespace, from its session id.
    pub(crate) fn derived(namespace: &str, sid: &str) -> Self {
        Self(Repr::Derived(match namespace {
            "/" => sid.into(),
            _ => format!("{namespace}#{sid}").into(),
        }))
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // All bytes come from ALPHABET, so this cannot fail.
            Repr::Random(text) => std::str::from_utf8(text).unwrap_or_default(),
            Repr::Derived(text) => text,
        }
    }
}

fn encode(raw: &[u8; RAW_ID_BYTES]) -> [u8; TEXT_ID_BYTES] {
    let mut text = [0; TEXT_ID_BYTES];
    for (bytes, out) in raw.chunks_exact(3).zip(text.chunks_exact_mut(4)) {
        let bits = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
        for (i, c) in out.iter_mut().enumerate() {
            *c = ALPHABET[(bits >> (18 - 6 * i)) as usize & 63];
        }
    }
    text
}

/// Returns random bytes; one system call serves several ids, because connecting is a hot path.
fn random_bytes() -> [u8; RAW_ID_BYTES] {
    struct Pool {
        bytes: [u8; RAW_ID_BYTES * IDS_PER_RANDOM_READ],
        used: usize,
    }
    thread_local! {
        static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; RAW_ID_BYTES * IDS_PER_RANDOM_READ], used: RAW_ID_BYTES * IDS_PER_RANDOM_READ }) };
    }
    POOL.with_borrow_mut(|pool| {
        if pool.used == pool.bytes.len() {
            #[allow(
                clippy::expect_used,
                reason = "without a secure source no id is safe to hand out"
            )]
            getrandom::fill(&mut pool.bytes).expect("the system has a source of random bytes");
            pool.used = 0;
        }
        let mut raw = [0; RAW_ID_BYTES];
        raw.copy_from_slice(&pool.bytes[pool.used..pool.used + RAW_ID_BYTES]);
        pool.used += RAW_ID_BYTES;
        raw
    })
}

impl Deref for SocketId {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for SocketId {
    fn as_ref(&self) -> &str {
        self
    }
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl PartialEq<str> for SocketId {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl serde::Serialize for SocketId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl IntoArgs for SocketId {
    fn write<W: ArgWriter>(&self, writer: &mut W) -> Result<(), EncodeError> {
        writer.arg(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_as_base64url() {
        assert_eq!(&encode(&[0; 15]), b"AAAAAAAAAAAAAAAAAAAA");
        assert_eq!(&encode(&[255; 15]), b"____________________");
        assert_eq!(&encode(b"Fanfare, trala!"), b"RmFuZmFyZSwgdHJhbGEh");
    }

    #[test]
    fn derives_ids_as_version_2_does() {
        assert_eq!(SocketId::derived("/", "abc").as_str(), "abc");
        assert_eq!(SocketId::derived("/chat", "abc").as_str(), "/chat#abc");
    }

    #[test]
    fn ids_differ_across_pool_refills() {
        let ids: std::collections::HashSet<_> = (0..IDS_PER_RANDOM_READ * 3)
            .map(|_| SocketId::random())
            .collect();
        assert_eq!(ids.len(), IDS_PER_RANDOM_READ * 3);
    }
}
