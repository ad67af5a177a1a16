//! Reports of handlers' failures: always counted, but logged with a throttle, because clients determine the rate.

use std::any::Any;
use std::fmt::Display;
use std::time::{Duration, Instant};

use fanfare_core::Rejection;
use fanfare_engine::diagnostics::{LogThrottle, panic_message};
use fanfare_protocol::Escaped;

use crate::error::{JoinError, TooManyRooms};
use crate::handler::HasSocket;
use crate::id::SocketId;
use crate::log_target;
use crate::namespace::NamespaceInner;
use crate::socket::Socket;

/// Interval in which each kind is logged once for the handlers of a namespace; the rest goes to the level `debug`.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Times of the last log messages about the handlers of a namespace.
#[derive(Debug)]
pub(crate) struct Reports {
    rejections: LogThrottle,
    failures: LogThrottle,
    panics: LogThrottle,
    joins: LogThrottle,
}

impl Default for Reports {
    fn default() -> Self {
        let log = || LogThrottle::every(LOG_INTERVAL);
        Self {
            rejections: log(),
            failures: log(),
            panics: log(),
            joins: log(),
        }
    }
}

/// Reports a rejection by an extractor: the handler was not called.
#[cold]
pub(super) fn rejection(at: &dyn HasSocket<Socket = Socket>, rejection: &Rejection) {
    crate::stats::rejected(rejection);
    let (socket, namespace, event) = names(at);
    let rejection = Escaped(rejection);
    match at.socket().reports().rejections.hit(Instant::now()) {
        Some(times) => {
            tracing::warn!(target: log_target::HANDLER, %socket, %namespace, %event, %rejection, times, "handler not called");
        }
        None => {
            tracing::debug!(target: log_target::HANDLER, %socket, %namespace, %event, %rejection, "handler not called");
        }
    }
}

/// Returns the fields that all log messages of a handler begin with.
fn names(at: &dyn HasSocket<Socket = Socket>) -> (&SocketId, Escaped<&str>, Escaped<&str>) {
    let socket = at.socket();
    (
        &socket.0.id,
        Escaped(socket.namespace_name()),
        Escaped(at.event_name()),
    )
}

/// Reports an error that a handler returned and that is reported nowhere else.
#[cold]
pub(crate) fn failure(at: &dyn HasSocket<Socket = Socket>, error: &dyn Display) {
    crate::stats::failed();
    let (socket, namespace, event) = names(at);
    let error = Escaped(error);
    match at.socket().reports().failures.hit(Instant::now()) {
        Some(times) => {
            tracing::warn!(target: log_target::HANDLER, %socket, %namespace, %event, %error, times, "handler failed");
        }
        None => {
            tracing::debug!(target: log_target::HANDLER, %socket, %namespace, %event, %error, "handler failed");
        }
    }
}

/// Reports that a socket could not join rooms, where the caller gets no error.
#[cold]
pub(crate) fn not_joined(socket: &Socket, error: &JoinError) {
    let (id, namespace) = (socket.id(), Escaped(socket.namespace_name()));
    let error = Escaped(error);
    if let Some(times) = socket.reports().joins.hit(Instant::now()) {
        tracing::warn!(target: log_target::HANDLER, socket = %id, %namespace, %error, times, "rooms not joined");
    }
}

/// Reports an operation that was not performed, where the caller gets no error.
#[cold]
pub(crate) fn too_many_rooms(namespace: &NamespaceInner, error: TooManyRooms) {
    if let Some(times) = namespace.behaviour.reports.joins.hit(Instant::now()) {
        let namespace = Escaped(&namespace.name);
        tracing::warn!(target: log_target::HANDLER, %namespace, %error, times, "nothing was done for so many rooms");
    }
}

#[cold]
pub(super) fn panic(at: &dyn HasSocket<Socket = Socket>, panic: &(dyn Any + Send)) {
    at.socket().io_inner().stats.panicked();
    let panic = Escaped(panic_message(panic));
    let (socket, namespace, event) = names(at);
    match at.socket().reports().panics.hit(Instant::now()) {
        Some(times) => {
            tracing::error!(target: log_target::HANDLER, %socket, %namespace, %event, %panic, times, "a handler panicked");
        }
        None => {
            tracing::debug!(target: log_target::HANDLER, %socket, %namespace, %event, %panic, "a handler panicked");
        }
    }
}
