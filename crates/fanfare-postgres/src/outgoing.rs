//! Messages that wait to be sent.

use std::collections::HashSet;
use std::sync::Arc;

use fanfare_cluster::dialect::{AdapterMessage, Encoded};
use tokio::sync::oneshot;

/// Length of a notification, in bytes, from which PostgreSQL rejects it.
pub(crate) const MAX_NOTIFICATION_BYTES: usize = 8000;
/// Maximum number of messages of one statement.
const MAX_BATCH: usize = 256;

/// Content of the queue.
#[derive(Debug)]
pub(crate) enum Item {
    Message(Outgoing),
    /// Notified when the server has accepted all earlier items.
    Flush(oneshot::Sender<()>),
}

/// Message in the form in which it is sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub(crate) channel: Arc<str>,
    pub(crate) payload: Payload,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Text of a notification.
    Text(String),
    /// Contents of a row, and the beginning of the notification that names it.
    Row { head: String, data: Vec<u8> },
}

impl Outgoing {
    /// Encodes a message as Node.js does: as JSON in a notification, or as MessagePack in a row if it contains binary
    /// values or has at least `threshold` bytes.
    pub(crate) fn new(
        channel: Arc<str>,
        message: &AdapterMessage,
        uid: &str,
        namespace: &str,
        threshold: usize,
    ) -> Self {
        let data = match message.encode(uid, Some(namespace)) {
            Encoded::Json(text) if text.len() < threshold => {
                let payload = Payload::Text(text);
                return Self { channel, payload };
            }
            Encoded::Json(_) => message.encode_msgpack(uid, Some(namespace)),
            Encoded::Msgpack(data) => data,
        };
        let kind = message.message_type();
        let head = format!(r#"{{"uid":"{uid}","type":{kind},"attachmentId":""#);
        let payload = Payload::Row { head, data };
        Self { channel, payload }
    }

    /// Returns the length in bytes.
    pub(crate) fn len(&self) -> usize {
        let payload = match &self.payload {
            Payload::Text(text) => text.len(),
            Payload::Row { head, data } => head.len() + data.len(),
        };
        payload + self.channel.len()
    }
}

/// Statement that sends messages.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    /// Notifications: channels, and texts.
    Notify(Vec<String>, Vec<String>),
    /// A row and its notification: channel, beginning of the text, contents.
    Insert(String, String, Vec<u8>),
}

/// Groups messages into statements, in their order. PostgreSQL sends equal notifications of one transaction only once,
/// so equal messages go into different statements.
pub(crate) fn statements(messages: impl IntoIterator<Item = Outgoing>) -> Vec<Statement> {
    let (mut statements, mut seen) = (Vec::new(), HashSet::new());
    for Outgoing { channel, payload } in messages {
        let channel = channel.to_string();
        let text = match payload {
            Payload::Text(text) => text,
            Payload::Row { head, data } => {
                statements.push(Statement::Insert(channel, head, data));
                continue;
            }
        };
        let key = (channel.clone(), text.clone());
        match statements.last_mut() {
            Some(Statement::Notify(channels, texts))
                if texts.len() < MAX_BATCH && !seen.contains(&key) =>
            {
                channels.push(channel);
                texts.push(text);
            }
            _ => {
                seen.clear();
                statements.push(Statement::Notify(vec![channel], vec![text]));
            }
        }
        seen.insert(key);
    }
    statements
}

#[cfg(test)]
mod tests {
    use fanfare_cluster::{Broadcast, ClusterOptions};
    use fanfare_protocol::EncodedEvent;

    use super::*;

    fn encoded(event: EncodedEvent) -> Payload {
        let message = AdapterMessage::from(Broadcast::new(event, ClusterOptions::default()));
        Outgoing::new("c".into(), &message, "0f", "/", 8000).payload
    }

    #[test]
    fn messages_are_those_of_node() {
        let Payload::Text(text) = encoded(EncodedEvent::new("e", &1).unwrap()) else {
            panic!("no text");
        };
        let expected = r#"{"type":3,"data":{"packet":{"type":2,"data":["e",1]},"opts":{"rooms":[],"except":[],"flags":{}}},"uid":"0f","nsp":"/"}"#;
        assert_eq!(text, expected);
        let fits = 7999 - expected.len() + 1;
        let text = |len| EncodedEvent::new("e", &"x".repeat(len)).unwrap();
        assert!(matches!(encoded(text(fits - 2)), Payload::Text(text) if text.len() == 7999));
        let Payload::Row { head, data } = encoded(text(fits - 1)) else {
            panic!("as long as is rejected");
        };
        assert_eq!(head, r#"{"uid":"0f","type":3,"attachmentId":""#);
        assert_eq!(data[..6], *b"\x84\xa4type");
        let binary = EncodedEvent::new("e", &bytes::Bytes::from_static(b"x")).unwrap();
        assert!(matches!(encoded(binary), Payload::Row { .. }));
    }

    #[test]
    fn equal_notifications_are_in_different_statements() {
        let text = |text: &str| Outgoing {
            channel: "c".into(),
            payload: Payload::Text(text.to_owned()),
        };
        let row = Outgoing {
            channel: "c".into(),
            payload: Payload::Row {
                head: "h".to_owned(),
                data: vec![1],
            },
        };
        let notify = |texts: &[&str]| {
            let texts = texts.iter().map(|text| (*text).to_owned());
            Statement::Notify(vec!["c".to_owned(); texts.len()], texts.collect())
        };
        let found = statements([
            text("a"),
            text("b"),
            text("a"),
            row,
            text("a"),
            text("c"),
            text("c"),
        ]);
        let insert = Statement::Insert("c".to_owned(), "h".to_owned(), vec![1]);
        let expected = [
            notify(&["a", "b"]),
            notify(&["a"]),
            insert,
            notify(&["a", "c"]),
            notify(&["c"]),
        ];
        assert_eq!(found, expected);
        let many = statements((0..1000).map(|number| text(&number.to_string())));
        assert_eq!(many.len(), 4);
    }
}
