use std::time::Duration;

use http::HeaderMap;

use crate::{DecoderConfig, deflate};

/// Options for opening a [`WebSocket`](crate::WebSocket), and limits on what it accepts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Maximum length of a frame to accept, in bytes. Default: 16 MiB.
    pub max_frame: usize,
    /// Maximum length of a message to accept after decompression, in bytes. Default: 16 MiB.
    pub max_message: usize,
    /// Maximum number of frames of one message to accept. Default: 131 072.
    pub max_fragments: u32,
    /// Settings of permessage-deflate (RFC 7692), which is used if the peer wants it too. Default: none.
    pub permessage_deflate: Option<deflate::Config>,
    /// Supported sub-protocols, the preferred one first. Default: none.
    pub protocols: Vec<String>,
    /// Additional headers of a client's request, as `Origin` or `Authorization`. Default: none.
    pub headers: HeaderMap,
    /// Maximum length of the head of a request or response, in bytes. Default: 16 KiB.
    pub max_head: usize,
    /// Timeout of the opening handshake. Default: 10 s.
    pub open_timeout: Duration,
    /// Timeout of the closing handshake. Default: 5 s.
    pub close_timeout: Duration,
}

impl Default for Options {
    fn default() -> Options {
        let DecoderConfig {
            max_frame,
            max_message,
            max_fragments,
            ..
        } = DecoderConfig::default();
        Options {
            max_frame,
            max_message,
            max_fragments,
            permessage_deflate: None,
            protocols: Vec::new(),
            headers: HeaderMap::new(),
            max_head: 16 << 10,
            open_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
        }
    }
}

impl Options {
    pub(super) fn decoder(&self, permessage_deflate: Option<deflate::Params>) -> DecoderConfig {
        DecoderConfig {
            max_frame: self.max_frame,
            max_message: self.max_message,
            max_fragments: self.max_fragments,
            permessage_deflate,
        }
    }
}
