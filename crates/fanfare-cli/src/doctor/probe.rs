//! Instruments of the doctor: sessions by polling and WebSocket, made step by step.

use std::time::Duration;

use bytes::Bytes;
use fanfare_client::net::{DialError, HttpError};
use fanfare_protocol::engine::Opened;
use fanfare_websocket::{ConnectError, Message, Options, WebSocket, deflate};
use http::header::ORIGIN;
use http::{HeaderValue, Method};
use tokio::time::timeout;

use crate::net::{self, Dialer, HttpConnection, HttpResponse, Stream};
use crate::target::Target;

/// Target of the checks, and the connections to it.
#[derive(Clone)]
pub(super) struct Probe {
    pub(super) target: Target,
    pub(super) dialer: Dialer,
    /// Timeout of an answer.
    pub(super) patience: Duration,
}

/// Session by polling.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) opened: Opened,
    pub(super) response: HttpResponse,
    /// Cookies that it set, as a browser would send them back.
    pub(super) cookies: String,
}

/// Answer to a request for a session.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// Session of Engine.IO 4.
    Session(Box<Session>),
    /// Session of Engine.IO 3: the server ignored the request for revision 4.
    Old,
    /// Error of Engine.IO.
    Error {
        code: i64,
        message: String,
        response: HttpResponse,
    },
    /// Any other answer.
    Other(HttpResponse),
}

/// Reason for which there is no WebSocket.
#[derive(Debug)]
pub(super) enum NoWebSocket {
    Dial(DialError),
    /// Answer with an HTTP status other than 101.
    Status {
        status: u16,
        body: String,
    },
    /// Answer that is no handshake.
    Other(String),
}

impl Probe {
    pub(super) async fn get(
        &self,
        query: &str,
        extra: &[(&'static str, &str)],
    ) -> Result<HttpResponse, HttpError> {
        let mut request = net::request(&self.target, Method::GET, query, Bytes::new());
        for (name, value) in extra {
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers_mut().insert(*name, value);
            }
        }
        HttpConnection::once(&self.dialer, request, self.patience).await
    }

    /// Posts packets to a session, over a new connection.
    pub(super) async fn post(
        &self,
        sid: &str,
        cookies: &str,
        body: impl Into<Bytes>,
    ) -> Result<HttpResponse, HttpError> {
        let query = format!("EIO=4&transport=polling&sid={sid}");
        let request = net::polling_request(&self.target, Method::POST, &query, body, cookies);
        HttpConnection::once(&self.dialer, request, self.patience).await
    }

    /// Requests a session at `path`.
    pub(super) async fn open_at(&self, path: &str) -> Result<Answer, HttpError> {
        let mut probe = self.clone();
        path.clone_into(&mut probe.target.path);
        probe.open().await
    }

    /// Requests a session.
    pub(super) async fn open(&self) -> Result<Answer, HttpError> {
        Ok(read(self.get("EIO=4&transport=polling", &[]).await?))
    }

    /// Opens a WebSocket; with `sid`, to upgrade that session.
    pub(super) async fn websocket(
        &self,
        sid: Option<&Session>,
        origin: Option<&str>,
        compress: bool,
    ) -> Result<WebSocket<Stream>, NoWebSocket> {
        let sid_query = sid
            .map(|session| format!("&sid={}", session.opened.sid))
            .unwrap_or_default();
        let uri = self
            .target
            .websocket_uri(&format!("EIO=4&transport=websocket{sid_query}"))
            .map_err(|error| NoWebSocket::Other(error.to_string()))?;
        let io = self.dialer.dial().await.map_err(NoWebSocket::Dial)?;
        let mut headers = self.target.headers.clone();
        if let Some(session) = sid {
            net::add_cookies(&mut headers, &session.cookies);
        }
        if let Some(Ok(origin)) = origin.map(HeaderValue::from_str) {
            headers.insert(ORIGIN, origin);
        }
        let options = Options {
            headers,
            open_timeout: self.patience,
            permessage_deflate: compress.then(deflate::Config::default),
            ..Options::default()
        };
        WebSocket::client(io, &uri, &options)
            .await
            .map_err(|error| match error {
                ConnectError::Rejected { status, body } => NoWebSocket::Status {
                    status: status.as_u16(),
                    body,
                },
                error => {
                    let source =
                        std::error::Error::source(&error).map(|source| format!(": {source}"));
                    NoWebSocket::Other(format!("{error}{}", source.unwrap_or_default()))
                }
            })
    }

    /// Returns the next text of a WebSocket.
    pub(super) async fn text(&self, socket: &mut WebSocket<Stream>) -> Option<String> {
        loop {
            match timeout(self.patience, socket.recv()).await {
                Ok(Some(Ok(Message::Text(text)))) => return Some(text),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                _ => return None,
            }
        }
    }
}

/// Parses the answer to a handshake.
pub(super) fn read(response: HttpResponse) -> Answer {
    let text = response.text().into_owned();
    if let Some(opened) = text.strip_prefix('0').and_then(|json| {
        // Other packets may follow in the payload.
        Opened::parse(json.split('\u{1e}').next().unwrap_or_default()).ok()
    }) {
        let cookies = response.cookies();
        return Answer::Session(Box::new(Session {
            opened,
            response,
            cookies,
        }));
    }
    if net::is_of_old_server(&response) {
        return Answer::Old;
    }
    #[derive(serde::Deserialize)]
    struct Wire {
        code: i64,
        message: String,
    }
    match serde_json::from_str::<Wire>(&text) {
        Ok(Wire { code, message }) => Answer::Error {
            code,
            message,
            response,
        },
        Err(_) => Answer::Other(response),
    }
}
