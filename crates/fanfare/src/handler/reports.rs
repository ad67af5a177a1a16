//! What handlers did wrong: counted always, logged now and then, because clients decide how often it happens.

use std::any::Any;
use std::fmt::Display;
use std::time::{Duration, Instant};

use fanfare_engine::Occasionally;

use crate::error::JoinError;
use crate::extract::Rejection;
use crate::socket::Socket;

/// Each kind is logged once in this time for the handlers of a namespace; the rest goes to the level `debug`.
const INTERVAL: Duration = Duration::from_secs(10);

/// When something was said of the handlers of a namespace last.
#[derive(Debug)]
pub(crate) struct Reports {
    rejections: Occasionally,
    failures: Occasionally,
    panics: Occasionally,
    joins: Occasionally,
}

impl Default for Reports {
    fn default() -> Self {
        let log = || Occasionally::every(INTERVAL);
        Self {
            rejections: log(),
            failures: log(),
            panics: log(),
            joins: log(),
        }
    }
}

/// An extractor has rejected what came: the handler was not called.
#[cold]
pub(super) fn rejection(socket: &Socket, rejection: &Rejection) {
    crate::stats::rejected(rejection);
    let (id, namespace) = (socket.id(), socket.namespace());
    match socket.reports().rejections.say(Instant::now()) {
        Some(times) => {
            tracing::warn!(socket = %id, namespace, %rejection, times, "handler not called");
        }
        None => tracing::debug!(socket = %id, namespace, %rejection, "handler not called"),
    }
}

/// A handler has returned an error that nobody else gets to see.
#[cold]
pub(super) fn failure(socket: &Socket, error: &dyn Display) {
    crate::stats::failed();
    let (id, namespace) = (socket.id(), socket.namespace());
    match socket.reports().failures.say(Instant::now()) {
        Some(times) => tracing::warn!(socket = %id, namespace, %error, times, "handler failed"),
        None => tracing::debug!(socket = %id, namespace, %error, "handler failed"),
    }
}

/// A socket could not join rooms, and whoever wanted it to is not told.
#[cold]
pub(crate) fn not_joined(socket: &Socket, error: &JoinError) {
    let (id, namespace) = (socket.id(), socket.namespace());
    if let Some(times) = socket.reports().joins.say(Instant::now()) {
        tracing::warn!(socket = %id, namespace, %error, times, "rooms not joined");
    }
}

#[cold]
pub(super) fn panic(socket: &Socket, panic: &(dyn Any + Send)) {
    socket.io_inner().stats.panicked();
    let panic = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)");
    let (id, namespace) = (socket.id(), socket.namespace());
    match socket.reports().panics.say(Instant::now()) {
        Some(times) => {
            tracing::error!(socket = %id, namespace, panic, times, "a handler panicked");
        }
        None => tracing::debug!(socket = %id, namespace, panic, "a handler panicked"),
    }
}
