//! Detection of servers that speak only the old protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use http::Method;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::net::{self, HttpConnection, HttpResponse};
use crate::session::{SessionEvent, SessionOptions};
use crate::target::Target;

/// Time of silence after which the server is probed.
const SILENCE_TIMEOUT: Duration = Duration::from_millis(1500);

/// Sends [`SessionEvent::Legacy`] if the server speaks only the old protocol. Such a server may leave the CONNECT of a
/// newer client unanswered, so that the client cannot tell.
pub(super) async fn look(
    target: Target,
    options: SessionOptions,
    notes: mpsc::Sender<SessionEvent>,
    unknown: Arc<AtomicBool>,
) {
    sleep(SILENCE_TIMEOUT).await;
    if unknown.load(Relaxed) && is_old(target, options).await {
        let _ = notes.send(SessionEvent::Legacy).await;
    }
}

/// Requests a session of the newer protocol, and returns whether the answer is one of the old protocol.
pub(super) async fn is_old(target: Target, options: SessionOptions) -> bool {
    let Some(response) = handshake(&target, &options).await else {
        return false;
    };
    net::is_of_old_server(&response)
}

/// Requests a session of the newer protocol; `None` without a response.
pub(super) async fn handshake(target: &Target, options: &SessionOptions) -> Option<HttpResponse> {
    let tls = net::tls(&options.server).ok()?;
    let limit = options.connect_timeout;
    let dialer = net::dialer(target, &tls).ok()?.timeout(limit);
    let request = net::request(target, Method::GET, "EIO=4&transport=polling", "");
    HttpConnection::once(&dialer, request, limit).await.ok()
}
