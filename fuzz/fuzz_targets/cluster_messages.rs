//! Messages between the nodes of a cluster, in JSON and in MessagePack: what is accepted is written again as the same
//! message, in both dialects, and takes memory in proportion to its length.
#![no_main]

use bytes::Bytes;
use fanfare_cluster::dialect::{AdapterMessage, Envelope};
use fanfare_cluster::{ClusterAnswer, ClusterMessage, SocketData};
use libfuzzer_sys::fuzz_target;

/// Bytes of the names and sockets of a message.
fn held(message: &AdapterMessage) -> usize {
    let texts = |texts: &[String]| texts.iter().map(|t| size_of::<String>() + t.len()).sum::<usize>();
    match message {
        AdapterMessage::Message(ClusterMessage::SocketsJoin(message)) => {
            texts(&message.rooms) + texts(&message.options.rooms) + texts(&message.options.except)
        }
        AdapterMessage::Message(ClusterMessage::Broadcast(message)) => {
            texts(&message.options.rooms) + texts(&message.options.except)
        }
        AdapterMessage::Response(response) => match &response.answer {
            ClusterAnswer::Sockets(sockets) => sockets.iter().map(SocketData::byte_len).sum(),
            _ => 0,
        },
        _ => 0,
    }
}

fn check(message: &AdapterMessage, len: usize) {
    assert!(held(message) <= 64 * len + 1024, "{} of {len}", held(message));
    for written in [
        message.encode("u", Some("/")).into_bytes(),
        message.encode_msgpack("u", Some("/")),
    ] {
        let written = Bytes::from(written);
        let envelope = Envelope::read(&written).unwrap();
        assert_eq!((envelope.uid(), envelope.namespace()), ("u", Some("/")));
        let again = envelope.decode().unwrap();
        assert_eq!(again.message_type(), message.message_type());
        assert_eq!(again.has_binary(), message.has_binary());
    }
}

fuzz_target!(|message: &[u8]| {
    let payload = Bytes::copy_from_slice(message);
    if let Ok(envelope) = Envelope::read(&payload)
        && let Ok(message) = envelope.decode()
    {
        check(&message, payload.len());
    }
    let Some((kind, data)) = message.split_first() else { return };
    let data = Bytes::copy_from_slice(data);
    if let Ok(message) = AdapterMessage::decode(u64::from(*kind), Some(&data)) {
        check(&message, data.len());
    }
});
