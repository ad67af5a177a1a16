//! Joining a namespace, and its rejection.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fanfare_engine::Protocol;
use fanfare_protocol::Escaped;
use tracing::Instrument;

use super::rejection::{reject, reject_namespace};
use super::{Conn, Dispatcher};
use crate::disconnect_reason::DisconnectReason;
use crate::handler::{ConnectContext, ConnectError, reports};
use crate::limits::Owner;
use crate::log_target;
use crate::namespace::NamespaceInner;
use crate::recovery::{Attempt, PeerClaim, Recovery, RecoveryFailure, RecoveryState};
use crate::server::{NoNamespace, run_or_spawn};
use crate::socket::Socket;

impl Dispatcher {
    /// Joins a namespace; `auth` is the JSON that the client sent.
    ///
    /// While the middlewares of an earlier CONNECT to the same namespace run, this one replaces it: a client that
    /// leaves and reconnects before it was admitted (as in React's strict mode) sends no packet in between.
    pub(super) fn connect(&self, conn: &Conn, name: &str, auth: Option<&str>) {
        let client = conn.state();
        let earlier = client.socket(name);
        if earlier.is_some_and(|socket| !socket.is_connecting()) {
            return Self::unexpected_packet(conn, name);
        }
        let (len, limit) = (auth.map_or(0, str::len), client.io.limits.max_auth_len);
        if len > limit {
            client.io.stats.rejected("auth_too_long");
            let error = ConnectError::new(format!(
                "auth is too long: {len} bytes, the limit is {limit}"
            ));
            return reject(conn, name, &error);
        }
        let address = conn.handshake().address().map(|address| address.ip());
        let owner = Owner::of(address);
        let namespace = match client.io.enter_namespace(name, auth, owner) {
            Ok(namespace) => namespace,
            Err(why) => return reject_namespace(conn, name, why),
        };
        // Clients of Socket.IO v2 do not support recovery.
        let recovery = namespace.recovery.as_deref();
        let recovery = recovery.filter(|_| conn.protocol() == Protocol::V4);
        let cluster = namespace.cluster_recovery.as_deref();
        let cluster = cluster.filter(|_| conn.protocol() == Protocol::V4);
        let mut attempt = match recovery.is_some() || cluster.is_some() {
            true => Attempt::parse(auth),
            false => None,
        };
        let part = recovery.map(|recovery| {
            let claimed = attempt.as_ref().map(|attempt| recovery.claim(attempt));
            // A session that is not here may be on another server.
            let elsewhere = matches!(
                claimed,
                Some(Err(
                    RecoveryFailure::OtherServer | RecoveryFailure::SessionGone
                ))
            );
            if !(elsewhere && recovery.has_peers()) {
                attempt = None;
            }
            RecoveryState::new(claimed)
        });
        let part = part.or_else(|| cluster.map(|_| RecoveryState::new(None)));
        let skip = recovery.is_some_and(Recovery::skips_middlewares)
            && part.as_ref().is_some_and(RecoveryState::is_claimed);
        let auth = auth.map(Into::into);
        let socket = Socket::new(namespace.clone(), conn.clone(), auth, part);
        let joining = Joining::new(socket);
        // Middlewares of attempts that were abandoned continue to run and count as well.
        let limit = client.io.limits.max_namespaces_per_client;
        if client.joining.load(Ordering::Relaxed) > limit {
            return joining.too_many(limit);
        }
        match client.add(&joining.socket) {
            Ok(None) => {}
            Ok(Some(earlier)) => {
                earlier.disconnect_with(DisconnectReason::ClientNamespaceDisconnect);
            }
            Err(limit) => return joining.too_many(limit),
        }
        if client.closing.load(Ordering::Acquire) {
            return; // closed meanwhile
        }
        match attempt {
            Some(attempt) => joining.restore(attempt),
            None if skip => joining.finish(Ok(())),
            None => joining.begin(),
        }
    }
}

/// A socket that is joining. On drop, even after a panic or when the runtime stops, the socket is connected or removed.
struct Joining {
    socket: Socket,
    connected: bool,
}

impl Joining {
    fn new(socket: Socket) -> Self {
        let client = socket.connection().state();
        client.joining.fetch_add(1, Ordering::Relaxed);
        Self {
            socket,
            connected: false,
        }
    }

    /// Runs the middlewares, if there are any.
    fn begin(self) {
        let namespace = self.socket.0.namespace.clone();
        if namespace.behaviour.middlewares.is_empty() {
            return self.finish(Ok(()));
        }
        let socket = &self.socket;
        let io = socket.io_inner();
        let span = tracing::debug_span!(target: log_target::SOCKET, "connect", socket = %socket.id(), namespace = %Escaped(socket.namespace_name()));
        run_or_spawn(&io.running, self.run(namespace).instrument(span));
    }

    /// Discards the recovered state and continues with a new socket, which has none of it.
    fn start_over(self, failure: RecoveryFailure) {
        if let Some(cluster) = self.socket.0.namespace.cluster_recovery.as_deref() {
            cluster.give_up(&self.socket, failure);
        }
        let renewed = self.socket.renewed(failure);
        if let Some(renewed) = self.replaced_by(renewed) {
            renewed.begin();
        }
    }

    /// Continues with another socket for the same client; `None` if it has been disconnected meanwhile.
    fn replaced_by(self, socket: Socket) -> Option<Self> {
        let other = Self::new(socket);
        let client = self.socket.connection().state();
        let replaced = client.replace(&self.socket, &other.socket);
        drop(self);
        replaced.then_some(other)
    }

    /// Takes the session that the client asks for from the adapter, and continues with a socket that has its state.
    fn restore(self, attempt: Attempt) {
        let io = self.socket.io_inner();
        run_or_spawn(&io.running, async move {
            let namespace = self.socket.0.namespace.clone();
            let Some(cluster) = namespace.cluster_recovery.as_deref() else {
                return self.restore_from_peer(&namespace, &attempt).await;
            };
            match cluster.claim(&namespace, &attempt).await {
                Ok(claim) => {
                    let restored = self.socket.restored(claim);
                    match self.replaced_by(restored) {
                        Some(restored) if cluster.skips_middlewares() => restored.finish(Ok(())),
                        Some(restored) => restored.begin(),
                        None => {} // disconnected meanwhile: the session has been stored again
                    }
                }
                Err(failure) => {
                    cluster.give_up(&self.socket, failure);
                    self.begin();
                }
            }
        });
    }

    /// Asks the other servers for the session, and continues with a socket that has its state.
    async fn restore_from_peer(self, namespace: &Arc<NamespaceInner>, attempt: &Attempt) {
        match PeerClaim::find(namespace, attempt).await {
            Ok(claim) => {
                let recovery = namespace.recovery.as_deref();
                let restored = self.socket.restored_from_peer(claim);
                match self.replaced_by(restored) {
                    Some(restored) if recovery.is_some_and(Recovery::skips_middlewares) => {
                        restored.finish(Ok(()));
                    }
                    Some(restored) => restored.begin(),
                    None => {} // disconnected meanwhile
                }
            }
            Err(failure) => {
                if let Some(part) = self.socket.part() {
                    part.lock().fail(failure);
                }
                self.begin();
            }
        }
    }

    /// Looks up in the adapter's log what the client missed, and connects it.
    fn replay(self) {
        let io = self.socket.io_inner();
        run_or_spawn(&io.running, async move {
            let namespace = self.socket.0.namespace.clone();
            let rooms = self.socket.rooms();
            let looked_up = match namespace.cluster_recovery.as_deref() {
                Some(cluster) => cluster.look_up(&self.socket, rooms).await,
                None => PeerClaim::look_up(&self.socket, rooms).await,
            };
            match looked_up {
                _ if !self.socket.is_connecting() => {} // disconnected meanwhile
                Ok(()) => self.connect(),
                Err(failure) => self.start_over(failure),
            }
        });
    }

    fn connect(mut self) {
        // Events that the handlers emit leave together with the CONNECT packet.
        match fanfare_engine::batch(|| self.socket.finish_connect()) {
            Ok(connected) => self.connected = connected,
            Err(lost) => self.start_over(lost.failure),
        }
    }

    /// Runs the middlewares, one after the other.
    async fn run(self, namespace: Arc<NamespaceInner>) {
        let mut result = Ok(());
        for middleware in &namespace.behaviour.middlewares {
            let cx = ConnectContext {
                socket: &self.socket,
            };
            let passed = middleware.call(&cx);
            result = passed.await;
            if !self.socket.is_connecting() {
                return; // disconnected meanwhile
            }
            if result.is_err() {
                break;
            }
        }
        drop(namespace);
        self.finish(result);
    }

    fn finish(self, result: Result<(), ConnectError>) {
        match result {
            Ok(()) => {
                if let Err(why) = self.socket.settle_owner() {
                    return self.no_namespace(why);
                }
                let part = self.socket.part();
                match part.is_some_and(|part| part.lock().awaits_replay()) {
                    true => self.replay(),
                    false => self.connect(),
                }
            }
            Err(error) => {
                let client = self.socket.connection().state();
                client.io.stats.rejected("middleware");
                let namespace = Escaped(self.socket.namespace_name());
                tracing::debug!(target: log_target::SOCKET, %namespace, error = %Escaped(&error), "connection rejected");
                if error.cause().is_some() {
                    // The client does not get the cause, so that it must be logged.
                    let socket = &self.socket;
                    reports::failure(&ConnectContext { socket }, &error);
                }
                self.reject(&error);
            }
        }
    }

    fn no_namespace(self, why: NoNamespace) {
        let conn = self.socket.connection().clone();
        let name = self.socket.namespace_name().to_owned();
        drop(self);
        reject_namespace(&conn, &name, why);
    }

    fn too_many(self, limit: usize) {
        let client = self.socket.connection().state();
        client.io.stats.rejected("too_many_namespaces");
        let error = ConnectError::new(format!("too many namespaces: the limit is {limit}"));
        self.reject(&error);
    }

    /// Rejects the client. It is told only after the socket has been removed.
    fn reject(self, error: &ConnectError) {
        let conn = self.socket.connection().clone();
        let namespace = self.socket.namespace_name().to_owned();
        drop(self);
        reject(&conn, &namespace, error);
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        let client = self.socket.connection().state();
        client.joining.fetch_sub(1, Ordering::Relaxed);
        if self.connected {
            return;
        }
        if self.socket.is_connecting() {
            self.socket.reject();
        }
        self.socket.forget_extensions();
    }
}
