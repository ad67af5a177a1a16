//! Dispatch of queued events to handlers.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use fanfare_core::HandlerKind;
use fanfare_protocol::Escaped;
use fanfare_protocol::diagnostics::LogThrottle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::erased::{Erased, Failure};
use super::kinds::{ConnectContext, ConnectErrorContext, DisconnectContext, EventContext};
use super::table::{Handlers, Listener};
use super::{Inner, Socket};
use crate::event::lifecycle::{Connected, Disconnected};
use crate::event::{Event, SocketEvent};
use crate::log_target;
use crate::queue::Receiver;

/// Maximum number of concurrent event handlers of one socket, beyond which events stay in the queue. It is also the
/// maximum number of concurrent handlers of connects, disconnects and connect errors, beyond which further ones do not
/// run.
const MAX_RUNNING: usize = 1024;

/// Interval in which each kind of failure is logged once for the handlers of a socket; the rest goes to the level
/// `debug`, because the server determines the rate.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Runs handlers until the socket is gone. Each is polled once right here, so that handlers start in the order of
/// events and those that need not wait need no task; a handler that must wait continues in a separate task.
pub(crate) async fn dispatch(
    receiver: Receiver<SocketEvent>,
    handlers: Arc<Handlers>,
    socket: Weak<Inner>,
) {
    let mut dispatcher = Dispatcher {
        receiver,
        handlers,
        events: Arc::new(Semaphore::new(MAX_RUNNING)),
        lifecycle: Arc::new(Semaphore::new(MAX_RUNNING)),
        reports: Arc::default(),
    };
    while let Some(event) = dispatcher.receiver.next().await {
        let Some(socket) = socket.upgrade().map(Socket::from_inner) else {
            return;
        };
        match event {
            SocketEvent::Event(event) => dispatcher.event(socket, event).await,
            other => dispatcher.lifecycle(socket, other).await,
        }
    }
}

struct Dispatcher {
    receiver: Receiver<SocketEvent>,
    handlers: Arc<Handlers>,
    events: Arc<Semaphore>,
    lifecycle: Arc<Semaphore>,
    reports: Arc<Reports>,
}

impl Dispatcher {
    async fn event(&mut self, socket: Socket, event: Event) {
        let listeners = self.handlers.of(event.name());
        if listeners.is_empty() {
            return;
        }
        let name: Arc<str> = event.inner.name.clone();
        let cx = EventContext { socket, event };
        for listener in listeners {
            let Some(permit) = self.permit(&cx.socket).await else {
                return;
            };
            run(permit, &*listener.handler, &cx, &name, &self.reports).await;
        }
    }

    /// Waits for a permit to run one more event handler. Without one, connects and disconnects are dispatched ahead of
    /// the queued events.
    async fn permit(&mut self, socket: &Socket) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.events.clone().try_acquire_owned() {
            return Some(permit);
        }
        let mut acquire = std::pin::pin!(self.events.clone().acquire_owned());
        loop {
            let other = tokio::select! {
                biased;
                permit = &mut acquire => return permit.ok(),
                other = self.receiver.next_weightless() => other,
            };
            match other {
                Some(event) => self.lifecycle(socket.clone(), event).await,
                None => return acquire.await.ok(),
            }
        }
    }

    /// Runs the handlers of connects, disconnects and connect errors.
    async fn lifecycle(&self, socket: Socket, event: SocketEvent) {
        match event {
            SocketEvent::Connect { id, recovered } => {
                let cx = ConnectContext {
                    socket,
                    connected: Connected::new(id, recovered),
                };
                let listeners = self.handlers.of_connect();
                self.run_all(listeners, &cx, "connect").await;
            }
            SocketEvent::Disconnect { reason, details } => {
                let cx = DisconnectContext {
                    socket,
                    disconnected: Disconnected::new(reason, details),
                };
                let listeners = self.handlers.of_disconnect();
                self.run_all(listeners, &cx, "disconnect").await;
            }
            SocketEvent::ConnectError(error) => {
                let cx = ConnectErrorContext { socket, error };
                let listeners = self.handlers.of_connect_error();
                self.run_all(listeners, &cx, "connect_error").await;
            }
            SocketEvent::Lagged(missed) => {
                tracing::warn!(
                    target: log_target::HANDLER,
                    missed,
                    namespace = socket.namespace_name(),
                    "handlers too slow: events dropped"
                );
            }
            SocketEvent::Event(_) => {}
        }
    }

    async fn run_all<M: HandlerKind>(
        &self,
        listeners: Vec<Listener<M>>,
        cx: &M::Context<'_>,
        name: &str,
    ) {
        for listener in listeners {
            // Does not wait, because the running handlers may have hung.
            match self.lifecycle.clone().try_acquire_owned() {
                Ok(permit) => run(permit, &*listener.handler, cx, name, &self.reports).await,
                Err(_) => tracing::error!(target: log_target::HANDLER, event = name,
                    limit = MAX_RUNNING,
                    "handler not run: too many of its kind have not ended"
                ),
            }
        }
    }
}

/// Runs a handler: it is polled once right here, and continues in a separate task if it is not finished then.
async fn run<M: HandlerKind>(
    permit: OwnedSemaphorePermit,
    handler: &dyn Erased<M>,
    cx: &M::Context<'_>,
    name: &str,
    reports: &Arc<Reports>,
) {
    let mut future = match handler.call(cx) {
        Ok(future) => future,
        Err(failure) => return reports.report(name, &failure),
    };
    match std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut future).poll(cx))).await {
        Poll::Ready(Ok(())) => {}
        Poll::Ready(Err(failure)) => reports.report(name, &failure),
        Poll::Pending => {
            let (name, reports) = (name.to_owned(), reports.clone());
            tokio::spawn(async move {
                if let Err(failure) = future.await {
                    reports.report(&name, &failure);
                }
                drop(permit);
            });
        }
    }
}

/// Times of the last log messages about the handlers of a socket.
#[derive(Debug)]
struct Reports {
    rejections: LogThrottle,
    failures: LogThrottle,
    panics: LogThrottle,
}

impl Default for Reports {
    fn default() -> Self {
        let log = || LogThrottle::every(LOG_INTERVAL);
        Self {
            rejections: log(),
            failures: log(),
            panics: log(),
        }
    }
}

impl Reports {
    /// Logs the failure of a handler.
    #[cold]
    fn report(&self, name: &str, failure: &Failure) {
        let (event, now) = (Escaped(name), Instant::now());
        match failure {
            Failure::Rejected(rejection) => {
                let rejection = Escaped(rejection);
                match self.rejections.hit(now) {
                    Some(times) => {
                        tracing::warn!(target: log_target::HANDLER, %event, %rejection, times, "handler not run");
                    }
                    None => {
                        tracing::debug!(target: log_target::HANDLER, %event, %rejection, "handler not run");
                    }
                }
            }
            Failure::Error(error) => {
                let error = Escaped(error);
                match self.failures.hit(now) {
                    Some(times) => {
                        tracing::warn!(target: log_target::HANDLER, %event, %error, times, "handler failed");
                    }
                    None => {
                        tracing::debug!(target: log_target::HANDLER, %event, %error, "handler failed");
                    }
                }
            }
            Failure::Panicked(panic) => {
                let panic = Escaped(panic);
                match self.panics.hit(now) {
                    Some(times) => {
                        tracing::error!(target: log_target::HANDLER, %event, %panic, times, "handler panicked");
                    }
                    None => {
                        tracing::debug!(target: log_target::HANDLER, %event, %panic, "handler panicked");
                    }
                }
            }
        }
    }
}
