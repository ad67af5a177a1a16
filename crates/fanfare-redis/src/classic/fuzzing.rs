//! Checks of the decoders, for the targets in `fuzz/`.

use bytes::Bytes;
use fanfare_cluster::dialect::AdapterMessage;
use fanfare_cluster::{Broadcast, ServerSideEmit};

use super::{decode, encode};

/// Reads a message as each kind; what is read is written again.
pub(crate) fn message(payload: &Bytes) {
    let channels = encode::Channels::new("", "/");
    if let Some(found) = decode::broadcast(payload, "me") {
        let message = Broadcast::new(found.packet.event, found.options);
        let (_, again) = encode::broadcast(&channels, "other", "/", &message);
        let again = decode::broadcast(&again.into(), "me");
        assert_eq!(again.map(|again| again.options), Some(message.options));
    }
    let Some(header) = decode::Header::read(payload) else {
        return;
    };
    let uid = header.uid.to_string();
    let id = header.request_id.as_deref().unwrap_or_default().to_owned();
    let message = match header.kind {
        Some(6) => {
            let read = decode::Header::read(payload).and_then(|header| header.data?.event());
            read.map(|event| ServerSideEmit::new(event).into())
        }
        Some(kind) => decode::message_type(kind)
            .and_then(|number| AdapterMessage::decode(number, Some(payload)).ok())
            .and_then(|message| match message {
                AdapterMessage::Message(message) => Some(message),
                _ => None,
            }),
        None => None,
    };
    if let Some(again) = message.and_then(|message| encode::request(Some(&uid), "/", &message)) {
        assert!(decode::Header::read(&again.into()).is_some());
    }
    if let Some(response) = decode::response(payload, header) {
        assert_eq!(response.request_id, id);
        if let Some(again) = encode::response(&response) {
            let again = Bytes::from(again);
            let header = decode::Header::read(&again);
            assert!(
                header
                    .and_then(|header| decode::response(&again, header))
                    .is_some()
            );
        }
    }
}
