//! Events of other servers, as JSON and as MessagePack: what is accepted can be converted in both directions, and each
//! conversion is bounded.
#![no_main]

use fanfare_protocol::{EncodedEvent, EncodedValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|message: &[u8]| {
    if let Ok(value) = EncodedValue::from_msgpack(message.to_vec()) {
        let (json, attachments) = (value.json(), value.attachments());
        assert!(json.len() <= 8 * message.len() + 48 * attachments.len());
        assert_eq!(value.has_binary(), !attachments.is_empty());
        let again = EncodedValue::from_msgpack(value.msgpack().clone()).unwrap();
        assert_eq!(again, value);
        value.args().unwrap();
    }
    let Ok(json) = std::str::from_utf8(message) else { return };
    if let Ok(event) = EncodedEvent::from_json(json, Vec::new()) {
        let converted = EncodedEvent::from_msgpack(event.data().msgpack().clone()).unwrap();
        assert_eq!(converted.args().unwrap().as_args().len(), event.args().unwrap().as_args().len());
        let mut text = Vec::new();
        event.write_text(&mut text, "/a", Some(1), Some("1-0"));
        let packet = fanfare_protocol::socket::decode(
            std::str::from_utf8(&text).unwrap(),
            &fanfare_protocol::Limits::default(),
        );
        let _ = (packet, event.values());
    }
});
