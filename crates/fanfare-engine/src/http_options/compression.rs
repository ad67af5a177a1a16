//! Compression of HTTP bodies: negotiation and encoding.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::HeaderMap;
use http::header::ACCEPT_ENCODING;

use crate::fields::Fields;

/// Compression of long-polling responses (Node's `httpCompression`).
///
/// A response is compressed if its client accepts an encoding, it is long enough, and not all of its packets were sent
/// with `compress(false)`. The task that answers compresses it;
/// [`outbox_bytes`](fanfare_protocol::Limits::outbox_bytes) limits the length of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpCompression {
    /// Minimum length of a body that is compressed, in bytes. Default: 1024.
    pub threshold: usize,
    /// Level from 0 (none) to 9 (smallest). Default: 1, the fastest. (Node's is 6.)
    pub level: u8,
}

impl HttpCompression {
    /// Creates the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fanfare_protocol::setters! {
        threshold: usize,
        level: u8,
    }
}

impl Default for HttpCompression {
    fn default() -> Self {
        HttpCompression {
            threshold: 1024,
            level: 1,
        }
    }
}

/// A content coding of HTTP (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentEncoding {
    /// `br`.
    Brotli,
    /// `gzip`.
    Gzip,
    /// `deflate`, which is the zlib format.
    Deflate,
}

impl ContentEncoding {
    /// Name in `Content-Encoding` and `Accept-Encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            ContentEncoding::Brotli => "br",
            ContentEncoding::Gzip => "gzip",
            ContentEncoding::Deflate => "deflate",
        }
    }

    /// Returns the best of `offers` that a client accepts (RFC 9110, section 12.5.3): the one to which it gives the
    /// highest `q`, among equals the first of ours. `None`: it accepts none, or prefers the uncompressed body.
    pub fn negotiate(headers: &HeaderMap, offers: &[ContentEncoding]) -> Option<ContentEncoding> {
        ContentEncoding::negotiated(headers, offers)
    }

    pub(crate) fn negotiated(
        fields: &impl Fields,
        offers: &[ContentEncoding],
    ) -> Option<ContentEncoding> {
        let asked = Asked::read(fields);
        let mut best: Option<(ContentEncoding, u16)> = None;
        for &offer in offers {
            let quality = asked.quality(offer.as_str()).unwrap_or(0);
            if quality > best.map_or(0, |(_, quality)| quality) {
                best = Some((offer, quality));
            }
        }
        let (offer, quality) = best?;
        // `identity` is accepted if it is not named; a preference for it has to be stated.
        (quality >= asked.quality_of_name("identity").unwrap_or(0)).then_some(offer)
    }

    /// Compresses a body; `level` from 0 (none) to 9 (smallest).
    ///
    /// `None` for an encoding that this build does not support: [`Brotli`](ContentEncoding::Brotli) without the feature
    /// `brotli`.
    pub fn encode(self, body: &[u8], level: u8) -> Option<Bytes> {
        let room = 64 + body.len() / 2;
        let gzip_level = Compression::new(u32::from(level.min(9)));
        // Writing to a vector does not fail.
        let encoded = match self {
            ContentEncoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::with_capacity(room), gzip_level);
                encoder.write_all(body).ok()?;
                encoder.finish().ok()?
            }
            ContentEncoding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::with_capacity(room), gzip_level);
                encoder.write_all(body).ok()?;
                encoder.finish().ok()?
            }
            #[cfg(feature = "brotli")]
            ContentEncoding::Brotli => {
                let mut out = Vec::with_capacity(room);
                let quality = u32::from(level.min(9));
                let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, quality, 22);
                encoder.write_all(body).ok()?;
                drop(encoder);
                out
            }
            #[cfg(not(feature = "brotli"))]
            ContentEncoding::Brotli => return None,
        };
        Some(encoded.into())
    }
}

/// Encodings that are fast enough for responses, in our order of preference.
pub(crate) const ON_THE_FLY: &[ContentEncoding] = &[
    ContentEncoding::Gzip,
    ContentEncoding::Deflate,
    #[cfg(feature = "brotli")]
    ContentEncoding::Brotli,
];

/// Encodings that a client accepts: names and qualities in thousandths.
struct Asked<'a>(Vec<(&'a str, u16)>);

impl<'a> Asked<'a> {
    fn read(fields: &'a impl Fields) -> Asked<'a> {
        let lines = fields.all(&ACCEPT_ENCODING);
        let items = lines
            .filter(|line| line.is_ascii())
            .filter_map(|line| std::str::from_utf8(line).ok())
            .flat_map(|line| line.split(','));
        Asked(items.filter_map(item).collect())
    }

    fn quality_of_name(&self, name: &str) -> Option<u16> {
        let mut named = self.0.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        named.next().map(|(_, quality)| *quality)
    }

    fn quality(&self, name: &str) -> Option<u16> {
        self.quality_of_name(name)
            .or_else(|| self.quality_of_name("*"))
    }
}

/// Parses `gzip;q=0.5` into the name and the quality in thousandths.
fn item(text: &str) -> Option<(&str, u16)> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let mut quality = 1000;
    for part in parts {
        if let Some(q) = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")) {
            let q: f32 = q.trim().parse().ok()?;
            quality = (q.clamp(0.0, 1.0) * 1000.0) as u16;
        }
    }
    Some((name, quality))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ContentEncoding::{Brotli, Deflate, Gzip};
    use http::HeaderValue;

    fn negotiated(accepted: &'static str, offers: &[ContentEncoding]) -> Option<ContentEncoding> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
        ContentEncoding::negotiate(&headers, offers)
    }

    #[test]
    fn the_client_chooses() {
        for (accepted, expected) in [
            ("gzip, deflate, br, zstd", Some(Gzip)),
            ("deflate, gzip", Some(Gzip)),
            ("deflate", Some(Deflate)),
            ("DEFLATE ; q=0.5", Some(Deflate)),
            ("gzip;q=0.4, deflate;q=0.8", Some(Deflate)),
            ("gzip;q=0, *", Some(Deflate)),
            ("*", Some(Gzip)),
            ("*;q=0", None),
            ("identity", None),
            ("gzip;q=0.5, identity;q=0.6", None),
            ("gzip;q=x", None),
            ("br", None),
            ("", None),
            (", ;q=1", None),
        ] {
            assert_eq!(
                negotiated(accepted, &[Gzip, Deflate]),
                expected,
                "{accepted}"
            );
        }
        assert_eq!(negotiated("gzip, br", &[Brotli, Gzip]), Some(Brotli));
        assert_eq!(ContentEncoding::negotiate(&HeaderMap::new(), &[Gzip]), None);
    }

    #[test]
    fn what_is_made_is_shorter_and_can_be_read() {
        use std::io::Read;
        let body = b"again and ".repeat(500);
        for encoding in [Gzip, Deflate] {
            let encoded = encoding.encode(&body, 1).unwrap();
            assert!(encoded.len() < 200, "{encoding:?}: {}", encoded.len());
            let mut decoded = Vec::new();
            let result = match encoding {
                Gzip => flate2::read::GzDecoder::new(&encoded[..]).read_to_end(&mut decoded),
                _ => flate2::read::ZlibDecoder::new(&encoded[..]).read_to_end(&mut decoded),
            };
            assert_eq!((result.unwrap(), decoded), (body.len(), body.clone()));
        }
        #[cfg(not(feature = "brotli"))]
        assert_eq!(Brotli.encode(&body, 1), None);
        #[cfg(feature = "brotli")]
        {
            let encoded = Brotli.encode(&body, 9).unwrap();
            let mut decoded = Vec::new();
            let mut reader = brotli::Decompressor::new(&encoded[..], 4096);
            assert_eq!(reader.read_to_end(&mut decoded).unwrap(), body.len());
            assert_eq!(decoded, body);
        }
    }
}
