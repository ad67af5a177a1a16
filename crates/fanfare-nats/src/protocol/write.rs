//! Operations of a client.

use bytes::Bytes;
use serde::Serialize;

/// Options that a client declares, in the form of the `CONNECT` operation.
#[derive(Debug, Serialize)]
pub(crate) struct Connect<'a> {
    pub(crate) verbose: bool,
    pub(crate) pedantic: bool,
    pub(crate) tls_required: bool,
    pub(crate) headers: bool,
    pub(crate) no_responders: bool,
    /// Whether the server sends this client's own messages to its subscriptions.
    pub(crate) echo: bool,
    pub(crate) protocol: u8,
    pub(crate) lang: &'static str,
    pub(crate) version: &'static str,
    pub(crate) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pass: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) auth_token: Option<&'a str>,
}

/// Returns a `PUB` or, with headers, an `HPUB` operation. Subject, reply and headers must not contain line breaks.
pub(crate) fn publish(
    subject: &str,
    reply: Option<&str>,
    headers: &[(&str, &str)],
    payload: &[u8],
) -> Bytes {
    let mut block = Vec::new();
    if !headers.is_empty() {
        block.extend_from_slice(b"NATS/1.0\r\n");
        for (name, value) in headers {
            block.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        block.extend_from_slice(b"\r\n");
    }
    let mut out = Vec::with_capacity(subject.len() + block.len() + payload.len() + 64);
    out.extend_from_slice(if headers.is_empty() {
        b"PUB "
    } else {
        b"HPUB "
    });
    out.extend_from_slice(subject.as_bytes());
    for text in reply.into_iter() {
        out.push(b' ');
        out.extend_from_slice(text.as_bytes());
    }
    if !headers.is_empty() {
        out.extend_from_slice(format!(" {}", block.len()).as_bytes());
    }
    out.extend_from_slice(format!(" {}\r\n", block.len() + payload.len()).as_bytes());
    out.extend_from_slice(&block);
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    out.into()
}

/// Appends a `SUB` operation.
pub(crate) fn subscribe(out: &mut Vec<u8>, subject: &str, sid: u64) {
    out.extend_from_slice(format!("SUB {subject} {sid}\r\n").as_bytes());
}

/// Appends an `UNSUB` operation.
pub(crate) fn unsubscribe(out: &mut Vec<u8>, sid: u64) {
    out.extend_from_slice(format!("UNSUB {sid}\r\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed() {
        assert_eq!(publish("a.b", None, &[], b"xy"), "PUB a.b 2\r\nxy\r\n");
        assert_eq!(publish("a", Some("r"), &[], b""), "PUB a r 0\r\n\r\n");
        let with = publish("a", Some("r"), &[("A", "b")], b"xy");
        assert_eq!(with, "HPUB a r 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nxy\r\n");
    }
}
