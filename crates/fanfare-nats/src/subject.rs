//! Names of subjects.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use fanfare_cluster::{ClusterMessage, RecentJoins};
use parking_lot::Mutex;
use sha1::{Digest, Sha1};

/// Longest token, in bytes; longer ones are hashed.
const MAX_TOKEN_BYTES: usize = 128;

/// Appends a name as one token of a subject. Letters, digits, `-` and `_` stay; other bytes of its UTF-8 become `=` and
/// two hexadecimal digits, an empty name becomes `=`. A token that would be longer than 128 bytes becomes `=h` and the
/// SHA-1 of the name in hexadecimal digits: two names with the same token cause only a needless delivery to a node,
/// as a message names its rooms.
pub(crate) fn push_token(out: &mut String, name: &str) {
    let start = out.len();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "={byte:02X}");
            }
        }
        if out.len() - start > MAX_TOKEN_BYTES {
            out.truncate(start);
            out.push_str("=h");
            for byte in Sha1::digest(name.as_bytes()) {
                let _ = write!(out, "{byte:02x}");
            }
            return;
        }
    }
    if name.is_empty() {
        out.push('=');
    }
}

/// Returns the name of a token, unless it is hashed or invalid.
#[cfg(test)]
fn name_of(token: &str) -> Option<String> {
    if token == "=" {
        return Some(String::new());
    }
    let mut bytes = Vec::new();
    let mut rest = token.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'=' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Subjects of a cluster: `fanfare.<prefix>.v1.…`. Clones share what they remember.
#[derive(Debug, Clone)]
pub(crate) struct Subjects {
    base: String,
    recent: Arc<Mutex<RecentJoins>>,
}

impl Subjects {
    pub(crate) fn new(prefix: &str) -> Self {
        let mut base = "fanfare.".to_owned();
        push_token(&mut base, prefix);
        base.push_str(".v1.");
        Self {
            base,
            recent: Arc::default(),
        }
    }

    fn with(&self, parts: &[&str]) -> String {
        let mut subject = String::with_capacity(self.base.len() + 64);
        subject.push_str(&self.base);
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                subject.push('.');
            }
            // The words of this module need no escaping.
            push_token(&mut subject, part);
        }
        subject
    }

    /// Returns the subject of the nodes' heartbeats.
    pub(crate) fn heartbeats(&self) -> String {
        self.with(&["heartbeat"])
    }

    /// Returns the subject of requests that all nodes answer.
    pub(crate) fn requests(&self) -> String {
        self.with(&["requests"])
    }

    /// Returns the subject of answers to a node.
    pub(crate) fn node(&self, id: &str) -> String {
        self.with(&["node", id])
    }

    /// Returns the subject of messages to all nodes that have the namespace.
    pub(crate) fn all(&self, namespace: &str) -> String {
        self.with(&["ns", namespace, "all"])
    }

    /// Returns the subject of messages to the nodes that have members of a room.
    pub(crate) fn room(&self, namespace: &str, room: &str) -> String {
        self.with(&["ns", namespace, "room", room])
    }

    /// Returns the subject of messages with these recipients: that of one room to which the nodes have subscribed, or of
    /// all.
    pub(crate) fn recipients(&self, namespace: &str, rooms: &[String]) -> String {
        if let [room] = rooms {
            let subject = self.room(namespace, room);
            if !self.recent.lock().contains(&subject, Instant::now()) {
                return subject;
            }
        }
        self.all(namespace)
    }

    /// Records the rooms that sockets are made to join, by this node or another.
    pub(crate) fn record(&self, namespace: &str, message: &ClusterMessage) {
        if let ClusterMessage::SocketsJoin(message) = message {
            let mut recent = self.recent.lock();
            for room in &message.rooms {
                recent.record(&self.room(namespace, room), Instant::now());
            }
        }
    }

    /// Returns the subject under which the log stores the messages of a subject of recipients.
    pub(crate) fn logged(&self, recipients: &str) -> String {
        let rest = recipients.strip_prefix(self.base.as_str());
        let rest = rest.and_then(|rest| rest.strip_prefix("ns."));
        format!("{}log.{}", self.base, rest.unwrap_or_default())
    }

    /// Returns the subject of a client's session.
    pub(crate) fn session(&self, namespace: &str, private_id: &str) -> String {
        self.with(&["session", namespace, private_id])
    }

    /// Returns the wildcard of all subjects that begin with a word.
    pub(crate) fn under(&self, word: &str) -> String {
        format!("{}{word}.>", self.base)
    }

    /// Returns the part of a subject of this cluster that names its kind.
    pub(crate) fn kind<'a>(&self, subject: &'a str) -> Option<&'a str> {
        let rest = subject.strip_prefix(self.base.as_str())?;
        rest.split('.').next()
    }
}

/// Returns the name of a stream: names of streams have fewer characters than those of subjects.
pub(crate) fn stream_name(kind: &str, prefix: &str) -> String {
    let mut token = String::new();
    push_token(&mut token, prefix);
    if token.contains('=') {
        let digest = Sha1::digest(prefix.as_bytes());
        token = digest.iter().fold("h".to_owned(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
    }
    format!("FANFARE_{kind}_{token}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(name: &str) -> String {
        let mut out = String::new();
        push_token(&mut out, name);
        out
    }

    #[test]
    fn subjects_are_documented() {
        let subjects = Subjects::new("my shop");
        assert_eq!(subjects.heartbeats(), "fanfare.my=20shop.v1.heartbeat");
        assert_eq!(subjects.node("0f"), "fanfare.my=20shop.v1.node.0f");
        assert_eq!(subjects.all("/"), "fanfare.my=20shop.v1.ns.=2F.all");
        assert_eq!(
            subjects.room("/chat", "a.b*é"),
            "fanfare.my=20shop.v1.ns.=2Fchat.room.a=2Eb=2A=C3=A9"
        );
        assert_eq!(subjects.room("/", ""), "fanfare.my=20shop.v1.ns.=2F.room.=");
        let room = subjects.room("/", "r");
        assert_eq!(
            subjects.logged(&room),
            "fanfare.my=20shop.v1.log.=2F.room.r"
        );
        assert_eq!(
            subjects.session("/", "p"),
            "fanfare.my=20shop.v1.session.=2F.p"
        );
        assert_eq!(subjects.under("log"), "fanfare.my=20shop.v1.log.>");
        assert_eq!(subjects.kind(&room), Some("ns"));
        assert_eq!(subjects.kind("fanfare.other.v1.ns.x"), None);
        assert_eq!(stream_name("LOG", "shop_1"), "FANFARE_LOG_shop_1");
        assert_eq!(stream_name("LOG", "my shop").len(), 53);
        let long = "x".repeat(129);
        assert_eq!(token(&long), "=h2699b675922cc84a9b0dfd926eb7f8211c78693d");
        assert_eq!(token(&long).len(), 42);
        assert_eq!(token(&"x".repeat(128)).len(), 128);
    }

    proptest! {
        #[test]
        fn tokens_are_reversible(name in any::<String>()) {
            let token = token(&name);
            prop_assert!(token.len() <= MAX_TOKEN_BYTES && !token.is_empty());
            prop_assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b)));
            if !token.starts_with("=h") {
                prop_assert_eq!(name_of(&token).unwrap(), name);
            }
        }
    }
}
