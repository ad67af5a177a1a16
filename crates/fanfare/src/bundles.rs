//! The browser client, served as Node's `serveClient` does.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use bytes::Bytes;
use fanfare_engine::EngineBody;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};

use crate::error::BuildError;

const FILES: [&str; 8] = [
    "socket.io.js",
    "socket.io.js.map",
    "socket.io.min.js",
    "socket.io.min.js.map",
    "socket.io.esm.min.js",
    "socket.io.esm.min.js.map",
    "socket.io.msgpack.min.js",
    "socket.io.msgpack.min.js.map",
];

/// The files and their version.
pub(crate) struct Bundles {
    files: HashMap<&'static str, File>,
    version: String,
    etag: HeaderValue,
}

struct File {
    map: bool,
    plain: Bytes,
    /// Found beside the file; the others are made when they are first asked for.
    brotli: Option<Bytes>,
    gzip: OnceLock<Bytes>,
    deflate: OnceLock<Bytes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Plain,
    Brotli,
    Gzip,
    Deflate,
}

impl Bundles {
    pub(crate) fn read(dir: &Path) -> Result<Self, BuildError> {
        let failed = |message: String| BuildError::ClientFiles {
            dir: dir.to_owned(),
            message,
        };
        let mut files = HashMap::new();
        for name in FILES {
            let plain: Bytes = match fs::read(dir.join(name)) {
                Ok(plain) => plain.into(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(format!("{name}: {error}"))),
            };
            let beside = |end: &str| fs::read(dir.join(format!("{name}.{end}"))).ok();
            let gzip = beside("gz").map_or_else(OnceLock::new, |gzip| Bytes::from(gzip).into());
            let file = File {
                map: name.ends_with(".map"),
                plain,
                brotli: beside("br").map(Bytes::from),
                gzip,
                deflate: OnceLock::new(),
            };
            files.insert(name, file);
        }
        if files.is_empty() {
            return Err(failed(format!("none of {} is there", FILES.join(", "))));
        }
        let version = package_version(dir)
            .or_else(|| files.values().find_map(|file| banner_version(&file.plain)))
            .ok_or_else(|| {
                failed("no version: neither in ../package.json nor in the files".into())
            })?;
        let etag = HeaderValue::from_str(&format!("\"{version}\""))
            .map_err(|_| failed(format!("{version:?} is no version")))?;
        Ok(Self {
            files,
            version,
            etag,
        })
    }

    /// The answer, if one of the files is asked for. `path`: under which they lie, with its slash.
    pub(crate) fn answer<B>(
        &self,
        path: &str,
        request: &Request<B>,
    ) -> Option<Response<EngineBody>> {
        let name = request.uri().path().strip_prefix(path)?;
        let file = self.files.get(name)?;
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let mut response = Response::new(EngineBody::default());
        if self.is_known(request.headers()) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Some(response);
        }
        let (encoding, body) = match preferred(request.headers(), file.brotli.is_some()) {
            Encoding::Plain => (None, &file.plain),
            Encoding::Brotli => (Some("br"), file.brotli.as_ref().unwrap_or(&file.plain)),
            Encoding::Gzip => (Some("gzip"), file.gzip()),
            Encoding::Deflate => (Some("deflate"), file.deflate()),
        };
        if request.method() == Method::GET {
            *response.body_mut() = EngineBody::new(body.clone());
        }
        let kind = if file.map {
            "application/json; charset=utf-8"
        } else {
            "application/javascript; charset=utf-8"
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(ETAG, self.etag.clone());
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        Some(response)
    }

    fn is_known(&self, headers: &HeaderMap) -> bool {
        headers.get(IF_NONE_MATCH).is_some_and(|known| {
            let known = known.as_bytes();
            let known = known.strip_prefix(b"W/").unwrap_or(known);
            known == self.etag.as_bytes()
        })
    }
}

impl fmt::Debug for Bundles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundles")
            .field("version", &self.version)
            .field("files", &self.files.keys())
            .finish()
    }
}

impl File {
    fn gzip(&self) -> &Bytes {
        self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            let _ = encoder.write_all(&self.plain); // a Vec takes everything
            encoder.finish().unwrap_or_default().into()
        })
    }

    fn deflate(&self) -> &Bytes {
        self.deflate.get_or_init(|| {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
            let _ = encoder.write_all(&self.plain);
            encoder.finish().unwrap_or_default().into()
        })
    }
}

/// Brotli before gzip before deflate, of those that the client takes.
fn preferred(headers: &HeaderMap, brotli: bool) -> Encoding {
    let takes = |name: &str| {
        headers
            .get_all(ACCEPT_ENCODING)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .any(|item| {
                let mut parts = item.split(';').map(str::trim);
                let named = parts.next().is_some_and(|n| n.eq_ignore_ascii_case(name));
                let refused = parts
                    .filter_map(|part| part.strip_prefix("q="))
                    .any(|q| q.parse::<f32>().is_ok_and(|q| q == 0.0));
                named && !refused
            })
    };
    if brotli && takes("br") {
        Encoding::Brotli
    } else if takes("gzip") {
        Encoding::Gzip
    } else if takes("deflate") {
        Encoding::Deflate
    } else {
        Encoding::Plain
    }
}

fn package_version(dir: &Path) -> Option<String> {
    let text = fs::read(dir.join("../package.json")).ok()?;
    let package: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(package.get("version")?.as_str()?.to_owned())
}

/// ` * Socket.IO v4.8.1` at the top of each file.
fn banner_version(file: &[u8]) -> Option<String> {
    let top = String::from_utf8_lossy(&file[..file.len().min(200)]);
    let (_, rest) = top.split_once("Socket.IO v")?;
    let version: String = rest.chars().take_while(|c| !c.is_whitespace()).collect();
    (!version.is_empty()).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        for (accepted, brotli, expected) in [
            ("gzip, deflate, br", true, Encoding::Brotli),
            ("gzip, deflate, br", false, Encoding::Gzip),
            ("deflate;q=0.5, gzip;q=0", true, Encoding::Deflate),
            ("identity", true, Encoding::Plain),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(preferred(&headers, brotli), expected, "{accepted}");
        }
        assert_eq!(preferred(&HeaderMap::new(), true), Encoding::Plain);
    }

    #[test]
    fn versions() {
        let banner = b"/*!\n * Socket.IO v4.8.1\n * (c) 2014-2024";
        assert_eq!(banner_version(banner).as_deref(), Some("4.8.1"));
        assert_eq!(banner_version(b"console.log(1)"), None);
    }
}
