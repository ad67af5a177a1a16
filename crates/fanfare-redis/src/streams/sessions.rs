//! Sessions, in the format in which Node stores them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use fanfare::adapter::SessionData;
use fanfare_protocol::EncodedValue;
use serde::{Deserialize, Serialize};

/// A session in its serialized form.
#[derive(Debug, Serialize, Deserialize)]
struct Session {
    sid: String,
    pid: String,
    rooms: Vec<String>,
    #[serde(default)]
    data: serde_json::Value,
    /// Position at which the client joined, which Node ignores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<String>,
}

/// Encodes a session: MessagePack in base64.
pub(super) fn encode(session: SessionData) -> Option<String> {
    let session = Session {
        sid: session.id,
        pid: session.private_id,
        rooms: session.rooms,
        data: session.data,
        offset: session.position,
    };
    let value = EncodedValue::new(&session).ok()?;
    Some(BASE64_STANDARD.encode(value.msgpack()))
}

/// Decodes a session of Node or Fanfare, if it has this private id. Binary values in its data become `null`.
pub(super) fn decode(text: &[u8], private_id: &str) -> Option<SessionData> {
    let message = BASE64_STANDARD.decode(text).ok()?;
    let value = EncodedValue::from_msgpack(message).ok()?;
    let session: Session = serde_json::from_str(value.json()).ok()?;
    let matches = session.pid == private_id;
    matches.then(|| {
        SessionData::new(session.pid, session.sid)
            .rooms(session.rooms)
            .data(session.data)
            .position(session.offset)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sessions_are_those_of_node() {
        let session = SessionData::new("pid", "sid")
            .rooms(vec!["sid".to_owned(), "r".to_owned()])
            .data(json!({"name": "Bea"}));
        let text = encode(session.clone()).unwrap();
        let message = BASE64_STANDARD.decode(&text).unwrap();
        let node =
            b"\x84\xa3sid\xa3sid\xa3pid\xa3pid\xa5rooms\x92\xa3sid\xa1r\xa4data\x81\xa4name\xa3Bea";
        assert_eq!(message, node);
        assert_eq!(decode(text.as_bytes(), "pid"), Some(session.clone()));
        assert_eq!(decode(text.as_bytes(), "another"), None);
        let session = session.position(Some("1-2".to_owned()));
        let text = encode(session.clone()).unwrap();
        assert_eq!(decode(text.as_bytes(), "pid"), Some(session));
        assert_eq!(decode(b"!", "pid"), None);
    }
}
