//! Pictures of the chat: validation and storage.

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::Bytes;
#[cfg(test)]
use fanfare::typed::export::Binary;
use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::demo::problem::Problem;

/// Maximum size of one picture, in bytes. Base64, which long-polling needs, makes it 4/3 as long, which still fits the
/// server's `max_payload`.
pub(super) const SIZE: usize = 600_000;

/// Maximum size of all stored pictures, in bytes.
const MAX_STORED_BYTES: usize = 16_000_000;

/// Maximum length of a side, in pixels, and of a file name, in characters.
const MAX_SIDE_PIXELS: u32 = 20_000;
const MAX_NAME_BYTES: usize = 255;

/// Picture of a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Picture {
    pub(super) id: String,
    name: String,
    #[serde(rename = "type")]
    kind: Cow<'static, str>,
    /// Size in bytes.
    size: usize,
    /// Width in pixels.
    width: u32,
    /// Height in pixels.
    height: u32,
    /// Content; absent in a history, where the event `picture` fetches it when it is displayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(with = "Binary"))]
    pub(super) data: Option<Bytes>,
}

/// Picture as a browser sends it. The server detects its type from its first bytes.
#[derive(Debug, Deserialize, Validate)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Upload {
    #[garde(skip)]
    name: String,
    /// Width in pixels.
    #[garde(range(min = 1, max = MAX_SIDE_PIXELS))]
    width: u32,
    /// Height in pixels.
    #[garde(range(min = 1, max = MAX_SIDE_PIXELS))]
    height: u32,
    #[garde(skip)]
    #[cfg_attr(test, schemars(with = "Binary"))]
    data: Bytes,
}

impl Upload {
    /// Validates the picture. Its type is detected from its first bytes; the sender's claim is ignored.
    pub(super) fn accept(self, id: String) -> Result<Picture, Problem> {
        let Self {
            name,
            width,
            height,
            data,
        } = self;
        let size = data.len();
        if size > SIZE {
            return Err(Problem::invalid(format!(
                "The picture has {size} bytes; the limit is {SIZE}."
            )));
        }
        let Some(kind) = kind(&data) else {
            return Err(Problem::invalid(
                "This is not a PNG, JPEG, GIF or WebP picture.",
            ));
        };
        Ok(Picture {
            id,
            name: name
                .chars()
                .filter(|c| !c.is_control())
                .take(MAX_NAME_BYTES)
                .collect(),
            kind: kind.into(),
            size,
            width,
            height,
            data: Some(data),
        })
    }
}

fn kind(data: &[u8]) -> Option<&'static str> {
    match data {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some("image/webp"),
        _ => None,
    }
}

/// Bytes of the most recent pictures.
#[derive(Debug, Default)]
pub(super) struct Album {
    pictures: VecDeque<(String, Bytes)>,
    bytes: usize,
}

impl Album {
    /// Stores a picture; the oldest are evicted when the store is full.
    pub(super) fn keep(&mut self, id: &str, data: &[u8]) {
        self.bytes += data.len();
        // A copy, because the bytes may share memory with a larger message.
        self.pictures
            .push_back((id.to_owned(), Bytes::copy_from_slice(data)));
        while self.bytes > MAX_STORED_BYTES {
            let Some((_, oldest)) = self.pictures.pop_front() else {
                break;
            };
            self.bytes -= oldest.len();
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<Bytes> {
        let found = self.pictures.iter().find(|(known, _)| known == id);
        found.map(|(_, data)| data.clone())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::demo::chat) fn upload(size: usize) -> Upload {
        let mut data = b"\x89PNG\r\n\x1a\n".to_vec();
        data.resize(size, 0);
        Upload {
            name: "a\nb.png".to_owned(),
            width: 10,
            height: 20,
            data: data.into(),
        }
    }

    #[test]
    fn the_bytes_tell_the_type() {
        assert_eq!(
            upload(100).accept("1".to_owned()).unwrap().kind,
            "image/png"
        );
        let script = Upload {
            data: Bytes::from_static(b"<svg onload=alert(1)>"),
            ..upload(8)
        };
        assert_eq!(script.accept("1".to_owned()).unwrap_err().code(), "invalid");
        assert_eq!(kind(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        assert_eq!(kind(b""), None);
    }

    #[test]
    fn limits() {
        assert!(upload(SIZE).accept("1".to_owned()).is_ok());
        assert!(upload(SIZE + 1).accept("1".to_owned()).is_err());
        assert!(upload(8).validate().is_ok());
        assert!(
            Upload {
                width: 0,
                ..upload(8)
            }
            .validate()
            .is_err()
        );
        assert!(
            Upload {
                height: MAX_SIDE_PIXELS + 1,
                ..upload(8)
            }
            .validate()
            .is_err()
        );
        assert_eq!(upload(8).accept("1".to_owned()).unwrap().name, "ab.png");
        // Base64 in a long-polling payload, with space for the rest of the message.
        assert!(SIZE.div_ceil(3) * 4 + 10_000 < fanfare::Limits::default().max_payload);
    }

    #[test]
    fn the_album_is_bounded() {
        let mut album = Album::default();
        let data = vec![0; 1_000_000];
        for id in 0..20 {
            album.keep(&id.to_string(), &data);
        }
        assert!(album.bytes <= MAX_STORED_BYTES);
        assert_eq!(album.get("3"), None);
        assert_eq!(album.get("19").map(|data| data.len()), Some(1_000_000));
    }
}
