//! Entries of a stream.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fanfare_cluster::dialect::{AdapterMessage, Encoded};
use redis::Cmd;

use super::StreamOptions;

/// Returns the command that appends a message, and the number of its bytes.
pub(super) fn append(
    options: &StreamOptions,
    uid: &str,
    namespace: &str,
    message: &AdapterMessage,
) -> (Cmd, usize) {
    let data = match options.only_plaintext {
        true => message.encode_data_plaintext(),
        false => message.encode_data().map(|data| match data {
            Encoded::Msgpack(bytes) => BASE64_STANDARD.encode(bytes),
            Encoded::Json(text) => text,
        }),
    };
    let stream = options.of(namespace);
    let mut command = Cmd::new();
    command.arg("XADD").arg(&stream);
    command.arg("MAXLEN").arg("~").arg(options.max_len).arg("*");
    command.arg("uid").arg(uid).arg("nsp").arg(namespace);
    command.arg("type").arg(message.message_type());
    let mut bytes = stream.len() + namespace.len() + 64;
    if let Some(data) = data {
        bytes += data.len();
        command.arg("data").arg(data);
    }
    (command, bytes)
}

#[cfg(feature = "adapter")]
pub(super) use self::reading::Entry;

#[cfg(feature = "adapter")]
mod reading {
    use bytes::Bytes;
    use fanfare_cluster::dialect::AdapterMessage;
    use redis::Value;

    use super::super::id::StreamId;
    use super::{BASE64_STANDARD, Engine};

    /// An entry whose message has not been read yet.
    #[derive(Debug, Default)]
    pub(in crate::streams) struct Entry {
        pub(in crate::streams) id: StreamId,
        pub(in crate::streams) uid: String,
        /// Empty if the entry is not of an adapter.
        pub(in crate::streams) namespace: String,
        pub(in crate::streams) kind: u64,
        data: Option<Bytes>,
    }

    fn text(value: Value) -> Option<String> {
        match value {
            Value::BulkString(bytes) => String::from_utf8(bytes).ok(),
            Value::SimpleString(text) => Some(text),
            _ => None,
        }
    }

    impl Entry {
        /// Reads entries as the server returns them.
        pub(in crate::streams) fn list(entries: Value) -> Vec<Self> {
            let Value::Array(entries) = entries else {
                return Vec::new();
            };
            entries.into_iter().filter_map(Self::read).collect()
        }

        /// Reads the reply to `XREAD` of one stream.
        pub(in crate::streams) fn list_of_stream(reply: Value) -> Vec<Self> {
            match reply {
                Value::Map(streams) => {
                    let entries = streams.into_iter().next().map(|(_, entries)| entries);
                    entries.map_or_else(Vec::new, Self::list)
                }
                Value::Array(streams) => match streams.into_iter().next() {
                    Some(Value::Array(mut stream)) => {
                        stream.pop().map_or_else(Vec::new, Self::list)
                    }
                    _ => Vec::new(),
                },
                _ => Vec::new(),
            }
        }

        fn read(entry: Value) -> Option<Self> {
            let Value::Array(parts) = entry else {
                return None;
            };
            let mut parts = parts.into_iter();
            let mut entry = Self {
                id: text(parts.next()?)?.parse().ok()?,
                ..Self::default()
            };
            let Some(Value::Array(fields)) = parts.next() else {
                return Some(entry);
            };
            let mut fields = fields.into_iter();
            while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
                let (Some(name), Value::BulkString(value)) = (text(name), value) else {
                    continue;
                };
                match &*name {
                    "uid" => entry.uid = String::from_utf8(value).unwrap_or_default(),
                    "nsp" => entry.namespace = String::from_utf8(value).unwrap_or_default(),
                    "type" => {
                        let text = String::from_utf8(value).unwrap_or_default();
                        entry.kind = text.parse().unwrap_or_default();
                    }
                    "data" => entry.data = Some(value.into()),
                    _ => {}
                }
            }
            Some(entry)
        }

        /// Number of bytes of the message, before it is decoded.
        pub(in crate::streams) fn byte_len(&self) -> usize {
            self.data.as_ref().map_or(0, Bytes::len)
        }

        /// Decodes the message.
        pub(in crate::streams) fn message(&self) -> Option<AdapterMessage> {
            let data = match &self.data {
                None => None,
                Some(data) if data.first() == Some(&b'{') => Some(data.clone()),
                Some(data) => Some(BASE64_STANDARD.decode(data).ok()?.into()),
            };
            AdapterMessage::decode(self.kind, data.as_ref()).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use fanfare_cluster::{Broadcast, ClusterOptions};
    use fanfare_protocol::EncodedEvent;
    use redis::Arg;

    use super::*;

    /// Returns the contents of an entry.
    fn data(only_plaintext: bool) -> String {
        let options = StreamOptions {
            name: "s".to_owned(),
            count: 1,
            max_len: 1,
            only_plaintext,
        };
        let event = EncodedEvent::new("e", &(1, Bytes::from_static(&[0, 255]))).unwrap();
        let message = AdapterMessage::from(Broadcast::new(event, ClusterOptions::default()));
        let (command, _) = append(&options, "u", "/", &message);
        match command.args_iter().last() {
            Some(Arg::Simple(data)) => String::from_utf8(data.to_vec()).unwrap(),
            _ => panic!("no contents"),
        }
    }

    #[test]
    fn binary_in_plain_text_is_what_json_makes_of_it_in_node() {
        let plain = r#"{"packet":{"type":2,"data":["e",1,{"type":"Buffer","data":[0,255]}]},"opts":{"rooms":[],"except":[],"flags":{}}}"#;
        assert_eq!(data(true), plain);
        let binary = BASE64_STANDARD.decode(data(false)).unwrap();
        assert!(binary.ends_with(b"\xa5flags\x80"), "{binary:?}");
    }
}
