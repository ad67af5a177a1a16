//! Dispatch of queued events to handlers.

use std::sync::{Arc, Weak};
use std::task::Poll;

use fanfare_core::HandlerKind;
use fanfare_protocol::Escaped;
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
            run(permit, &*listener.handler, &cx, &name).await;
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
                Ok(permit) => run(permit, &*listener.handler, cx, name).await,
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
) {
    let mut future = match handler.call(cx) {
        Ok(future) => future,
        Err(failure) => return report(name, &failure),
    };
    match std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        Poll::Ready(Ok(())) => {}
        Poll::Ready(Err(failure)) => report(name, &failure),
        Poll::Pending => {
            let name = name.to_owned();
            tokio::spawn(async move {
                if let Err(failure) = future.await {
                    report(&name, &failure);
                }
                drop(permit);
            });
        }
    }
}

/// Logs the failure of a handler.
fn report(name: &str, failure: &Failure) {
    let event = Escaped(name);
    match failure {
        Failure::Rejected(rejection) => {
            let rejection = Escaped(rejection);
            tracing::warn!(target: log_target::HANDLER, %event, %rejection, "handler not run");
        }
        Failure::Error(error) => {
            let error = Escaped(error);
            tracing::warn!(target: log_target::HANDLER, %event, %error, "handler failed");
        }
        Failure::Panicked => {
            tracing::error!(target: log_target::HANDLER, %event, "handler panicked");
        }
    }
}
