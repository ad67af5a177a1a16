//! Session ids: 15 random bytes in 20 characters of base64url.

use std::cell::RefCell;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const BYTES: usize = 15;
const POOL: usize = BYTES * 64;

/// The secret handle of a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Sid([u8; Sid::LEN]);

impl Sid {
    pub(crate) const LEN: usize = 20;

    /// A new one, 120 bits from the operating system's generator.
    pub(crate) fn random() -> Result<Sid, getrandom::Error> {
        thread_local! {
            /// The kernel is asked for many at a time.
            static RANDOM: RefCell<(usize, [u8; POOL])> = const { RefCell::new((POOL, [0; POOL])) };
        }
        RANDOM.with_borrow_mut(|(used, pool)| {
            if *used == POOL {
                getrandom::fill(pool)?;
                *used = 0;
            }
            let bytes = &mut pool[*used..*used + BYTES];
            let mut sid = [0; Sid::LEN];
            let encoded = URL_SAFE_NO_PAD.encode_slice(&*bytes, &mut sid);
            debug_assert_eq!(encoded, Ok(Sid::LEN));
            bytes.fill(0);
            *used += BYTES;
            Ok(Sid(sid))
        })
    }

    /// What a client sent, if it can be a session id of ours.
    pub(crate) fn parse(text: &str) -> Option<Sid> {
        let bytes: [u8; Sid::LEN] = text.as_bytes().try_into().ok()?;
        bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            .then_some(Sid(bytes))
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Sid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Who knows the whole id has the session.
        write!(f, "{}…", &self.as_str()[..4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_twenty_characters_and_never_the_same() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let sid = Sid::random().unwrap();
            assert_eq!(Sid::parse(sid.as_str()), Some(sid));
            assert!(seen.insert(sid));
        }
        assert_eq!(Sid::parse("short"), None);
        assert_eq!(Sid::parse("aaaaaaaaaaaaaaaaaaa/"), None);
    }
}
