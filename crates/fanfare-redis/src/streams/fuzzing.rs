//! Checks of the decoders, for the targets in `fuzz/`.

use fanfare_cluster::dialect::AdapterMessage;
use redis::Value;

use super::{adapter, entry, log, sessions};

/// Reads a reply as entries, a position and a description.
pub(crate) fn entries(reply: Value) -> Vec<AdapterMessage> {
    let _ = adapter::appended(reply.clone());
    let _ = log::is_complete(&reply);
    let listed = entry::Entry::list(reply.clone());
    let read = entry::Entry::list_of_stream(reply);
    let all = listed.into_iter().chain(read);
    all.filter_map(|entry| {
        assert!(entry.id < entry.id.next() || entry.id.next() == entry.id);
        assert_eq!(entry.id.to_string().parse(), Ok(entry.id));
        entry.message()
    })
    .collect()
}

/// Reads a session; what is read is written again.
pub(crate) fn session(text: &[u8], private_id: &str) {
    if let Some(session) = sessions::decode(text, private_id) {
        let again = sessions::encode(session.clone()).expect("a session can be written");
        assert!(sessions::decode(again.as_bytes(), private_id).is_some());
    }
}
