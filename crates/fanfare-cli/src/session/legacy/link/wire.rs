//! Requests and WebSockets to one server, as an old client makes them.

use std::time::Duration;

use ::http::{Method, Request};
use bytes::Bytes;
use fanfare_websocket::{Options, WebSocket};
use http_body_util::Full;

use crate::net::{Dialer, Stream, http};
use crate::target::Target;

/// Connection settings of a session.
#[derive(Clone)]
pub(in crate::session::legacy) struct Wire {
    pub(in crate::session::legacy) dialer: Dialer,
    pub(in crate::session::legacy) target: Target,
    /// Timeout of an answer that need not wait for anything.
    pub(in crate::session::legacy) patience: Duration,
    /// Addition to every query, such as `&token=abc`.
    pub(in crate::session::legacy) query: String,
    /// Cookies of the handshake, by which load balancers find the server.
    pub(in crate::session::legacy) cookies: String,
}

impl Wire {
    fn query(&self, transport: &str, sid: Option<&str>) -> String {
        let sid = sid.map(|sid| format!("&sid={sid}")).unwrap_or_default();
        format!("EIO=3&transport={transport}{sid}{}", self.query)
    }

    /// Builds a long-polling request. It asks for bytes as base64, so that all bodies are text.
    pub(super) fn request(
        &self,
        method: Method,
        sid: Option<&str>,
        body: impl Into<Bytes>,
    ) -> Request<Full<Bytes>> {
        let query = format!("{}&b64=1", self.query("polling", sid));
        http::polling_request(&self.target, method, &query, body, &self.cookies)
    }

    /// Opens a WebSocket; with `sid`, to upgrade that session.
    pub(super) async fn websocket(&self, sid: Option<&str>) -> Result<WebSocket<Stream>, String> {
        let uri = self
            .target
            .websocket_uri(&self.query("websocket", sid))
            .map_err(|error| error.to_string())?;
        let io = self
            .dialer
            .dial()
            .await
            .map_err(|error| error.to_string())?;
        let mut headers = self.target.headers.clone();
        http::add_cookies(&mut headers, &self.cookies);
        let options = Options {
            headers,
            open_timeout: self.patience,
            ..Options::default()
        };
        WebSocket::client(io, &uri, &options)
            .await
            .map_err(|error| error.to_string())
    }
}
