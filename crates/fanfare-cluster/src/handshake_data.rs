//! First request of a connection of any node, in its serialized form.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use fanfare_protocol::Limits;
use fanfare_protocol::json::Reader;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Map;
use serde_json::value::RawValue;

use crate::dialect::DialectError;

/// The first request of a connection, in its serialized form (Node's `socket.handshake`). Cheap to clone.
///
/// It is the JSON that the socket's server has sent. [`url`](Self::url) is found in it at once; the other members are
/// decoded together when one of them is first asked for. A member that is missing or invalid is empty.
#[derive(Clone)]
pub struct HandshakeData(Arc<Inner>);

struct Inner {
    json: Box<str>,
    /// Position of the content of the member `url`, if that has no escapes.
    url: Option<Range<u32>>,
    decoded: OnceLock<Box<Decoded>>,
}

#[derive(Default, PartialEq, Deserialize)]
#[serde(default)]
struct Decoded {
    headers: Map<String, serde_json::Value>,
    time: String,
    address: String,
    xdomain: bool,
    secure: bool,
    issued: u64,
    url: String,
    query: Map<String, serde_json::Value>,
    auth: serde_json::Value,
}

impl HandshakeData {
    /// Creates the handshake with this JSON, an object.
    ///
    /// # Errors
    /// [`DialectError`] if it is no object, or invalid.
    pub fn from_json(json: &str) -> Result<Self, DialectError> {
        let mut reader = Reader::new(json, Limits::JSON_DEPTH_CEILING);
        let handshake = Self::read(&mut reader)?;
        reader.end()?;
        Ok(handshake)
    }

    /// Reads an object.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DialectError> {
        let start = reader.skip_whitespace();
        let mut url = None;
        let text = reader.spanned(|reader| {
            reader.members(|name, reader| {
                let value = reader.value()?;
                if name == "url" && value.starts_with('"') && !value.contains('\\') {
                    let end = reader.pos() - start;
                    url = Some(end - value.len() + 1..end - 1);
                }
                Ok::<_, DialectError>(())
            })
        })?;
        let position = |at: usize| u32::try_from(at).ok();
        let url = url.and_then(|url| Some(position(url.start)?..position(url.end)?));
        Ok(Self(Arc::new(Inner {
            // The replacement has the same length, so the position stays.
            json: reader.without_lone_surrogates(text).into(),
            url,
            decoded: OnceLock::new(),
        })))
    }

    fn decoded(&self) -> &Decoded {
        let Inner { json, decoded, .. } = &*self.0;
        decoded.get_or_init(|| serde_json::from_str(json).unwrap_or_default())
    }

    /// Returns the JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.0.json
    }

    /// Returns the path and query.
    #[must_use]
    pub fn url(&self) -> &str {
        let Inner { json, url, .. } = &*self.0;
        let found = url.as_ref().and_then(|url| {
            let range = usize::try_from(url.start).ok()?..usize::try_from(url.end).ok()?;
            json.get(range)
        });
        found.unwrap_or_else(|| &self.decoded().url)
    }

    /// Returns the headers by their names in lower case; each value is a text or a list of texts.
    #[must_use]
    pub fn headers(&self) -> &Map<String, serde_json::Value> {
        &self.decoded().headers
    }

    /// Returns the time of the request, in the format of JavaScript's `Date`.
    #[must_use]
    pub fn time(&self) -> &str {
        &self.decoded().time
    }

    /// Returns the address of the client.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.decoded().address
    }

    /// Whether the request is cross-origin.
    #[must_use]
    pub fn is_xdomain(&self) -> bool {
        self.decoded().xdomain
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.decoded().secure
    }

    /// Returns the time of the request, in milliseconds since 1970.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.decoded().issued
    }

    /// Returns the parameters of the query.
    #[must_use]
    pub fn query(&self) -> &Map<String, serde_json::Value> {
        &self.decoded().query
    }

    /// Returns the `auth` value of the client.
    #[must_use]
    pub fn auth(&self) -> &serde_json::Value {
        &self.decoded().auth
    }

    pub(crate) fn byte_len(&self) -> usize {
        size_of::<Inner>() + self.0.json.len()
    }
}

impl Default for HandshakeData {
    /// Returns an empty handshake.
    fn default() -> Self {
        Self(Arc::new(Inner {
            json: "{}".into(),
            url: None,
            decoded: OnceLock::new(),
        }))
    }
}

impl PartialEq for HandshakeData {
    /// Compares the values, however they are written.
    fn eq(&self, other: &Self) -> bool {
        self.0.json == other.0.json || self.decoded() == other.decoded()
    }
}

impl Serialize for HandshakeData {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: Result<&RawValue, _> = serde_json::from_str(self.json());
        raw.map_err(serde::ser::Error::custom)?
            .serialize(serializer)
    }
}

impl fmt::Debug for HandshakeData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HandshakeData").field(&self.json()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_when_they_are_asked_for() {
        let json = r#" {"headers":{"a":["1","2"]},"url": "/x?y=\"" ,"issued":5,"query":{"y":"\""},"auth":{"k":[1]}}"#;
        let handshake = HandshakeData::from_json(json).unwrap();
        assert!(handshake.0.url.is_none() && handshake.0.decoded.get().is_none());
        assert_eq!((handshake.url(), handshake.issued()), ("/x?y=\"", 5));
        assert_eq!(handshake.headers()["a"][1], "2");
        assert_eq!(handshake.auth()["k"][0], 1);
        assert_eq!((handshake.address(), handshake.is_secure()), ("", false));
    }

    #[test]
    fn the_url_is_found_without_decoding() {
        let handshake =
            HandshakeData::from_json(r#"{ "é":"\ud800", "url" : "/é?a" , "x":1}"#).unwrap();
        assert_eq!(handshake.url(), "/é?a");
        assert!(handshake.0.decoded.get().is_none());
        assert_eq!(
            handshake.json(),
            r#"{ "é":"\ufffd", "url" : "/é?a" , "x":1}"#
        );
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for json in ["", "[]", "null", "{} {}", r#"{"url":}"#] {
            assert!(HandshakeData::from_json(json).is_err(), "{json}");
        }
        let odd = HandshakeData::from_json(r#"{"url":1,"issued":"x"}"#).unwrap();
        assert_eq!((odd.url(), odd.issued()), ("", 0));
    }
}
