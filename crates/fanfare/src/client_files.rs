//! The browser client's files, served as Node's `serveClient` does.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bytes::Bytes;
use fanfare_engine::EngineConfig;
use fanfare_engine::http::{ContentEncoding, EngineBody};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
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

#[cfg(feature = "client-files")]
mod embedded {
    include!(concat!(env!("OUT_DIR"), "/client_files.rs"));
}

/// Source of the files.
#[derive(Debug, Clone)]
pub(crate) enum ClientFiles {
    Dir(PathBuf),
    #[cfg(feature = "client-files")]
    Embedded,
}

impl ClientFiles {
    pub(crate) fn read(&self) -> Result<LoadedFiles, BuildError> {
        match self {
            Self::Dir(dir) => LoadedFiles::read(dir),
            #[cfg(feature = "client-files")]
            Self::Embedded => LoadedFiles::embedded(),
        }
    }
}

/// The files and their version.
pub(crate) struct LoadedFiles {
    files: HashMap<&'static str, File>,
    version: String,
    etag: HeaderValue,
}

struct File {
    map: bool,
    plain: Bytes,
    /// Read from a file beside it, or compressed on the first request.
    brotli: OnceLock<Bytes>,
    gzip: OnceLock<Bytes>,
    deflate: OnceLock<Bytes>,
}

impl LoadedFiles {
    /// Reads the files of a directory, or those of an npm package: `dist` of `socket.io-client`, `client-dist` of
    /// `socket.io`.
    fn read(given: &Path) -> Result<Self, BuildError> {
        let within = ["dist", "client-dist"].map(|name| given.join(name));
        let has_files = |dir: &&Path| FILES.iter().any(|name| dir.join(name).is_file());
        let mut candidates = [given, &within[0], &within[1]].into_iter();
        let dir = candidates.find(has_files).unwrap_or(given);
        let failed = |message: String| BuildError::ClientFiles {
            dir: given.to_owned(),
            message,
        };
        let mut files = HashMap::new();
        for name in FILES {
            let plain: Bytes = match fs::read(dir.join(name)) {
                Ok(plain) => plain.into(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(format!("{name}: {error}"))),
            };
            let beside = |end: &str| match fs::read(dir.join(format!("{name}.{end}"))) {
                Ok(file) => OnceLock::from(Bytes::from(file)),
                Err(_) => OnceLock::new(),
            };
            let file = File {
                map: name.ends_with(".map"),
                plain,
                brotli: beside("br"),
                gzip: beside("gz"),
                deflate: OnceLock::new(),
            };
            files.insert(name, file);
        }
        if files.is_empty() {
            return Err(failed(format!("none of {} is there", FILES.join(", "))));
        }
        Self::of(files, package_version(dir)).map_err(failed)
    }

    /// Returns the files that are embedded in the program.
    #[cfg(feature = "client-files")]
    fn embedded() -> Result<Self, BuildError> {
        let failed = |value: String| BuildError::InvalidOption {
            option: "serve_embedded_client",
            value,
        };
        let mut files = HashMap::new();
        for name in FILES {
            let found = embedded::EMBEDDED.iter().find(|(other, _)| *other == name);
            if let Some(&(_, plain)) = found {
                let file = File {
                    map: name.ends_with(".map"),
                    plain: Bytes::from_static(plain),
                    brotli: OnceLock::new(),
                    gzip: OnceLock::new(),
                    deflate: OnceLock::new(),
                };
                files.insert(name, file);
            }
        }
        if files.is_empty() {
            return Err(failed(embedded::NOT_EMBEDDED.to_owned()));
        }
        Self::of(files, None).map_err(failed)
    }

    fn of(files: HashMap<&'static str, File>, version: Option<String>) -> Result<Self, String> {
        let version = version
            .or_else(|| files.values().find_map(|file| banner_version(&file.plain)))
            .ok_or("no version: neither in ../package.json nor in the files")?;
        let etag = HeaderValue::from_str(&format!("\"{version}\""))
            .map_err(|_| format!("{version:?} is no version"))?;
        Ok(Self {
            files,
            version,
            etag,
        })
    }

    /// Returns the response, if one of the files is requested.
    pub(crate) fn answer<B>(
        &self,
        config: &EngineConfig,
        request: &Request<B>,
    ) -> Option<Response<EngineBody>> {
        let path = config.path.trim_end_matches('/');
        let name = request.uri().path().strip_prefix(path)?;
        let name = name.strip_prefix('/')?;
        let file = self.files.get(name)?;
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        let mut response = Response::new(EngineBody::default());
        // The response depends on this header, regardless of its current value.
        let vary = HeaderValue::from_static("Accept-Encoding");
        response.headers_mut().insert(VARY, vary);
        if let Some(cors) = &config.cors {
            cors.apply(request.headers(), response.headers_mut());
        }
        if self.is_known(request.headers()) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return Some(response);
        }
        let encoding = ContentEncoding::negotiate(request.headers(), file.offers());
        let body = encoding.map_or(&file.plain, |encoding| file.encoded(encoding));
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
            headers.insert(
                CONTENT_ENCODING,
                HeaderValue::from_static(encoding.as_str()),
            );
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

impl fmt::Debug for LoadedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedFiles")
            .field("version", &self.version)
            .field("files", &self.files.keys())
            .finish()
    }
}

impl File {
    /// Returns the encodings in the order of preference: Brotli, gzip, deflate, of those that are available or can be
    /// produced.
    fn offers(&self) -> &'static [ContentEncoding] {
        use ContentEncoding::{Brotli, Deflate, Gzip};
        if self.brotli.get().is_some() || cfg!(feature = "brotli") {
            &[Brotli, Gzip, Deflate]
        } else {
            &[Gzip, Deflate]
        }
    }

    /// Returns the file in an encoding that was offered.
    fn encoded(&self, encoding: ContentEncoding) -> &Bytes {
        let made = match encoding {
            ContentEncoding::Brotli => &self.brotli,
            ContentEncoding::Gzip => &self.gzip,
            _ => &self.deflate,
        };
        made.get_or_init(|| encoding.encode(&self.plain, 9).unwrap_or_default())
    }
}

fn package_version(dir: &Path) -> Option<String> {
    let text = fs::read(dir.join("../package.json")).ok()?;
    let package: serde_json::Value = serde_json::from_slice(&text).ok()?;
    Some(package.get("version")?.as_str()?.to_owned())
}

/// Returns the version in the banner at the top of each file: ` * Socket.IO v4.8.1`.
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
    fn versions() {
        let banner = b"/*!\n * Socket.IO v4.8.1\n * (c) 2014-2024";
        assert_eq!(banner_version(banner).as_deref(), Some("4.8.1"));
        assert_eq!(banner_version(b"console.log(1)"), None);
    }
}
