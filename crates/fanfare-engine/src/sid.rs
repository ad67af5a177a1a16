//! Session ids: 15 random bytes in 20 characters of base64url, or an id that the application makes.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Number of bytes of a session id. Its text has 20 characters of base64url.
pub const SESSION_ID_BYTES: usize = 15;
const RANDOM_POOL_BYTES: usize = SESSION_ID_BYTES * 64;

/// Secret handle of a session.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) enum Sid {
    /// An id of the usual length.
    Short([u8; Sid::LEN]),
    /// Another id that the application made.
    Other(Arc<str>),
}

impl Sid {
    pub(crate) const LEN: usize = 20;
    /// Maximum length of an id that an application may make.
    const MAX: usize = 128;

    /// Generates an id from 120 bits of the operating system's generator. `seal` may put the name of the server into
    /// them.
    pub(crate) fn random(
        seal: impl FnOnce([u8; SESSION_ID_BYTES]) -> [u8; SESSION_ID_BYTES],
    ) -> Result<Sid, getrandom::Error> {
        thread_local! {
            /// Pool of random bytes: one call of the kernel fills it for many ids.
            static RANDOM: RefCell<(usize, [u8; RANDOM_POOL_BYTES])> = const { RefCell::new((RANDOM_POOL_BYTES, [0; RANDOM_POOL_BYTES])) };
        }
        RANDOM.with_borrow_mut(|(used, pool)| {
            if *used == RANDOM_POOL_BYTES {
                getrandom::fill(pool)?;
                *used = 0;
            }
            let bytes = &mut pool[*used..*used + SESSION_ID_BYTES];
            let mut random = [0; SESSION_ID_BYTES];
            random.copy_from_slice(bytes);
            bytes.fill(0);
            *used += SESSION_ID_BYTES;
            let mut sid = [0; Sid::LEN];
            let encoded = URL_SAFE_NO_PAD.encode_slice(seal(random), &mut sid);
            debug_assert_eq!(encoded, Ok(Sid::LEN));
            Ok(Sid::Short(sid))
        })
    }

    /// Accepts an id that the application made, if it is valid.
    pub(crate) fn parse(text: &str) -> Option<Sid> {
        let fits = !text.is_empty() && text.bytes().all(Self::may_hold);
        fits.then(|| Sid::sent(text)).flatten()
    }

    /// Accepts an id that a client sent. It is only looked up, so any text may stand in it.
    pub(crate) fn sent(text: &str) -> Option<Sid> {
        if text.len() > Sid::MAX {
            return None;
        }
        Some(match text.as_bytes().try_into() {
            Ok(bytes) => Sid::Short(bytes),
            Err(_) => Sid::Other(text.into()),
        })
    }

    /// Whether this byte needs no escape in a URL (RFC 3986, section 2.3).
    fn may_hold(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Sid::Short(bytes) => std::str::from_utf8(bytes).unwrap_or_default(),
            Sid::Other(text) => text,
        }
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The whole id gives access to the session.
        let text = self.as_str();
        write!(f, "{}…", &text[..text.len().min(4)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_twenty_characters_and_never_the_same() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let sid = Sid::random(|random| random).unwrap();
            assert_eq!(Sid::parse(sid.as_str()), Some(sid.clone()));
            assert!(seen.insert(sid));
        }
        for own in ["1", "node-7.x~_", &"a".repeat(128)] {
            assert_eq!(Sid::parse(own).unwrap().as_str(), own);
        }
        for bad in ["", "aaaaaaaaaaaaaaaaaaa/", "ä", "a b", &"a".repeat(129)] {
            assert_eq!(Sid::parse(bad), None, "{bad}");
        }
        assert!(size_of::<Sid>() <= 24);
    }
}
