use std::time::Duration;

use http::HeaderMap;

use crate::{DecoderConfig, deflate};

/// How to open a [`WebSocket`](crate::WebSocket), and what to accept on it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The biggest frame to accept, in bytes. Default: 16 MiB.
    pub max_frame: usize,
    /// The biggest message to accept, in bytes, after decompression. Default: 16 MiB.
    pub max_message: usize,
    /// The highest number of frames of one message to accept. Default: 131 072.
    pub max_fragments: u32,
    /// Use permessage-deflate (RFC 7692) if the peer wants it too. Default: no.
    pub permessage_deflate: Option<deflate::Config>,
    /// The sub-protocols we speak, the best one first. Default: none.
    pub protocols: Vec<String>,
    /// More headers for the request of a client, as `Origin` or `Authorization`. Default: none.
    pub headers: HeaderMap,
    /// The longest head of a request or response to accept, in bytes. Default: 16 KiB.
    pub max_head: usize,
    /// How long the opening handshake may take. Default: 10 s.
    pub open_timeout: Duration,
    /// How long the closing handshake may take. Default: 5 s.
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
