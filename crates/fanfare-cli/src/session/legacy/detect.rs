//! Finding out that a server speaks only the old protocol.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use ::http::Method;
use tokio::sync::mpsc;
use tokio::time::sleep;

use crate::net::{Dialer, Tls, http};
use crate::session::{Note, SessionOptions};
use crate::target::Target;

/// How long a server may stay silent before it is looked at.
const SILENCE: Duration = Duration::from_millis(1500);

/// Says [`Note::Legacy`] if the server speaks only the old protocol. Such a server may leave the CONNECT of a newer
/// client without an answer, so that the client cannot tell.
pub(in crate::session) async fn look(
    target: Target,
    options: SessionOptions,
    notes: mpsc::Sender<Note>,
    unknown: Arc<AtomicBool>,
) {
    sleep(SILENCE).await;
    if unknown.load(Relaxed) && is_old(target, options).await {
        let _ = notes.send(Note::Legacy).await;
    }
}

/// Asks the server for a session of the newer protocol, and looks what comes.
pub(in crate::session) async fn is_old(target: Target, options: SessionOptions) -> bool {
    let Ok(tls) = Tls::new(options.server.ca.as_deref(), options.server.insecure) else {
        return false;
    };
    let dialer = Dialer::new(&target, &tls, options.connect_timeout);
    let request = http::request(&target, Method::GET, "EIO=4&transport=polling", "");
    let Ok(response) = http::once(&dialer, request, options.connect_timeout).await else {
        return false;
    };
    // `97:0{"sid":…`: a payload of Engine.IO 3 begins with its length.
    let text = response.text();
    text.split_once(":0{")
        .is_some_and(|(length, _)| length.parse::<u32>().is_ok())
}
