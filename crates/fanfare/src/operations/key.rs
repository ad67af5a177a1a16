//! Key of the operators.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Secret that all servers of a cluster and their operators have.
#[derive(Clone)]
pub(super) struct Key(Hmac<Sha256>);

/// Use of a code, so that a code for one purpose is not valid for another.
#[derive(Clone, Copy)]
enum Purpose {
    /// Comparison of a key that was sent.
    Compare = 1,
    /// Request to other servers.
    Order = 2,
}

impl Key {
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        Hmac::new_from_slice(key).ok().map(Self)
    }

    fn mac(&self, purpose: Purpose, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(b"fanfare operations ");
        mac.update(&[purpose as u8]);
        mac.update(message);
        mac
    }

    /// Whether another key is the same. Codes of a fixed message are compared, in constant time.
    pub(super) fn is(&self, other: &[u8]) -> bool {
        let Some(other) = Self::new(other) else {
            return false;
        };
        let code = other.mac(Purpose::Compare, b"").finalize().into_bytes();
        let own = self.mac(Purpose::Compare, b"");
        own.verify_slice(&code).is_ok()
    }

    /// Returns the code of a request, in hexadecimal digits.
    pub(super) fn sign(&self, order: &str) -> String {
        let code = self.mac(Purpose::Order, order.as_bytes()).finalize();
        let code = code.into_bytes();
        code.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a request has a valid code. The codes are compared in constant time.
    pub(super) fn verify(&self, order: &str, code: &str) -> bool {
        let digits = code.as_bytes().chunks(2);
        let bytes: Option<Vec<u8>> = digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let mac = self.mac(Purpose::Order, order.as_bytes());
        bytes.is_some_and(|bytes| mac.verify_slice(&bytes).is_ok())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_agrees() {
        let key = Key::new(b"a secret of the operators").unwrap();
        assert!(key.is(b"a secret of the operators"));
        assert!(!key.is(b"a secret of the operator"));
        assert!(!key.is(b""));
        let code = key.sign("drain");
        assert!(key.verify("drain", &code));
        assert!(!key.verify("drains", &code));
        assert!(!key.verify("drain", &code[2..]));
        assert!(!key.verify("drain", "é"));
        let other = Key::new(b"another secret of operators").unwrap();
        assert!(!other.verify("drain", &code));
    }
}
