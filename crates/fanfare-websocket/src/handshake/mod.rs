//! Opening handshake (RFC 6455, section 4), as values of the `http` crate.

mod client;
mod server;

pub use client::{ClientAccept, ClientHandshake, ResponseError};
pub use server::{Accept, HandshakeError, ServerHandshake};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::HeaderName};
use sha1::{Digest, Sha1};

/// The only version of the protocol.
pub const VERSION: &str = "13";

/// Returns the `Sec-WebSocket-Accept` that answers a `Sec-WebSocket-Key` (RFC 6455, section 4.2.2).
pub fn accept_key(key: &[u8]) -> [u8; 28] {
    let mut sha1 = Sha1::new();
    sha1.update(key);
    sha1.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    let mut out = [0; 28];
    // 20 bytes are 28 characters.
    let written = STANDARD.encode_slice(sha1.finalize(), &mut out);
    debug_assert_eq!(written.ok(), Some(28));
    out
}

/// Whether a comma-separated header contains a token, case-insensitively, over all lines of that header.
fn has_token(headers: &HeaderMap, name: HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_the_key_of_rfc_6455() {
        assert_eq!(
            &accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
            b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
