//! Connection and disconnection of a socket.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fanfare_protocol::Escaped;

use super::early_events::EarlyEvents;
use super::handle::is_seated;
use super::{CONNECTED, CONNECTING, DISCONNECTED, EarlyRooms, LEAVING, Socket};
use crate::disconnect_reason::DisconnectReason;
use crate::handler::{ConnectContext, DisconnectContext};
use crate::log_target;
use crate::namespace::NamespaceInner;
use crate::recovery::{ClusterRecovery, Lost, Recovery, is_recoverable};

impl Socket {
    /// Adds the socket to the room index once its middlewares have passed, and tells the client. `false` if it has been
    /// disconnected meanwhile.
    ///
    /// # Errors
    /// [`Lost`] if it cannot resume the session that it claimed. Then nothing has changed.
    pub(crate) fn finish_connect(&self) -> Result<bool, Lost> {
        let recovery = self.0.namespace.recovery.as_deref();
        let mut state = recovery.map(Recovery::lock);
        let cluster = self.0.namespace.cluster_recovery.as_deref();
        let mut cluster_state = cluster.map(ClusterRecovery::lock);
        let mut index = self.0.namespace.rooms.write();
        if self.0.phase.load(Ordering::Acquire) != CONNECTING {
            return Ok(false);
        }
        let rooms = match self.0.extra.get() {
            Some(extra) => std::mem::take(&mut *extra.early_rooms.lock()),
            None => EarlyRooms::default(),
        };
        let mut resumed = None;
        if let (Some(recovery), Some(state), Some(part)) = (recovery, &mut state, self.part()) {
            resumed = Some(recovery.admit(state, self, &mut part.lock(), &rooms)?);
        }
        if let (Some(cluster), Some(state), Some(part)) = (cluster, &mut cluster_state, self.part())
        {
            resumed = Some(cluster.admit(state, self, &mut part.lock())?);
        }
        let seat = index.insert(self.clone());
        self.0.seat.store(seat, Ordering::Relaxed);
        let hub = &self.0.namespace.room_hub;
        hub.joined(&self.0.id, &self.0.id, true);
        for room in rooms.iter() {
            let change = index.join(seat, room);
            if change.moved {
                hub.joined(room, &self.0.id, change.room);
            }
        }
        let (pid, missed) = match &resumed {
            Some((pid, missed)) => (Some(&**pid), missed.as_slice()),
            None => (None, &[][..]),
        };
        // Events that the middlewares emitted follow directly after the CONNECT packet; locked until others may follow.
        let mut early = self.0.extra.get().map(|extra| extra.early_events.lock());
        let kept = early.as_deref_mut().map(std::mem::take).unwrap_or_default();
        // Sent while the socket cannot be found yet, so that no broadcast overtakes it; with all missed events as one
        // message, which an outbox accepts regardless of its length.
        let sent = self.0.connection.send_with(|buf| {
            let NamespaceInner { name, codec, .. } = &*self.0.namespace;
            let protocol = self.0.connection.protocol();
            codec.write_connect_reply(buf, protocol, name, &self.0.id, pid);
            let behind = missed.iter().chain(&kept.messages);
            behind.for_each(|message| buf.append(message));
        });
        self.0.phase.store(CONNECTED, Ordering::Release);
        drop(early);
        self.0.namespace.stats.joined();
        drop(index);
        drop(cluster_state);
        drop(state);
        let hold = self.part().and_then(|part| part.lock().take_hold());
        drop(hold);
        self.0.namespace.flush_interest();
        if let Some(recovery) = recovery {
            recovery.sweep(&self.0.namespace);
        }
        tracing::debug!(target: log_target::SOCKET, socket = %self.0.id, namespace = %Escaped(self.namespace_name()), "connected");
        if sent.is_err() {
            tracing::debug!(target: log_target::SOCKET, socket = %self.0.id, "the client disconnected while it joined");
        }
        let cx = ConnectContext { socket: self };
        self.0
            .namespace
            .behaviour
            .connect
            .iter()
            .for_each(|handler| handler.call(&cx));
        Ok(true)
    }

    /// Removes a socket whose client a middleware rejected, or that disconnected before it was connected.
    pub(crate) fn reject(&self) {
        self.remove(None);
    }

    /// Removes the socket for any reason, the only place that does: from now on it is disconnected, and nothing is
    /// queued for it. Returns the phase it was in.
    pub(crate) fn remove(&self, reason: Option<DisconnectReason>) -> u8 {
        let recovery = self.0.namespace.recovery.as_deref();
        let mut state = recovery.map(Recovery::lock);
        let cluster = self.0.namespace.cluster_recovery.as_deref();
        let cluster_state = cluster.map(ClusterRecovery::lock);
        let mut index = self.0.namespace.rooms.write();
        let mut rooms = Vec::new();
        let mut hold = None;
        let was = self.0.phase.swap(DISCONNECTED, Ordering::AcqRel);
        if is_seated(was) {
            // Before it leaves its rooms, so that their events are received without interruption.
            if recovery.is_some_and(Recovery::has_peers) && reason.is_some_and(is_recoverable) {
                let joined = index.rooms_of(self.0.seat.load(Ordering::Relaxed));
                let joined = joined.iter().map(|room| &**room);
                hold = Some(self.0.namespace.hold(&index, self.0.id.as_str(), joined));
            }
            let left = index.remove(self.0.seat.load(Ordering::Relaxed));
            let left = left.map(|(_, left)| left).unwrap_or_default();
            self.left_rooms(&left);
            let hub = &self.0.namespace.room_hub;
            for (room, deleted) in &left {
                hub.left(room, &self.0.id, *deleted);
            }
            hub.left(&self.0.id, &self.0.id, true);
            self.0.namespace.stats.left();
            if cluster.is_some() {
                rooms.push(self.0.id.to_string());
                rooms.extend(left.iter().map(|(room, _)| room.to_string()));
            }
        }
        drop(index);
        let mut gone = Vec::new();
        if let (Some(recovery), Some(state), Some(part)) = (recovery, &mut state, self.part()) {
            gone = recovery.depart(state, self, &mut part.lock(), reason, &mut hold);
        }
        drop(state);
        drop(gone);
        drop(hold);
        if let (Some(cluster), Some(mut state), Some(part)) = (cluster, cluster_state, self.part())
        {
            let mut part = part.lock();
            let session = ClusterRecovery::depart(&mut state, self, &mut part, reason, rooms);
            drop(part);
            drop(state);
            if let Some(session) = session {
                cluster.store(&self.0.namespace.name, session);
            }
        }
        self.0.namespace.flush_interest();
        if was != DISCONNECTED {
            self.0.connection.state().remove(self);
            if let Some(extra) = self.0.extra.get() {
                extra.acks.clear();
                *extra.early_rooms.lock() = EarlyRooms::default();
                *extra.early_events.lock() = EarlyEvents::default();
                self.drop_listeners();
            }
            self.0.namespace.broadcast_acks.gone(&self.0.id);
            let unused = self.part().and_then(|part| part.lock().take_hold());
            drop(unused);
            if recovery.is_some() {
                self.0.namespace.await_returns();
            }
        }
        was
    }

    /// Drops the extensions of a client that was never admitted, once its middlewares have ended: they may contain the
    /// socket. Extensions that a later socket of the client may adopt are kept.
    pub(crate) fn forget_extensions(&self) {
        if let Some(extensions) = self.0.extra.get().and_then(|extra| extra.extensions.get())
            && Arc::strong_count(extensions) == 1
        {
            extensions.clear();
        }
    }

    /// Leaves the namespace, once; sending a packet or closing the connection is left to the caller.
    pub(crate) fn disconnect_with(&self, reason: DisconnectReason) {
        let leaving = {
            let _state = self.0.namespace.recovery.as_deref().map(Recovery::lock);
            let cluster = self.0.namespace.cluster_recovery.as_deref();
            let _cluster_state = cluster.map(ClusterRecovery::lock);
            let leaving = self.0.phase.compare_exchange(
                CONNECTED,
                LEAVING,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if let (Ok(_), Some(part)) = (leaving, self.part()) {
                part.lock().leaves(reason);
            }
            leaving
        };
        match leaving {
            Ok(_) => {}
            Err(CONNECTING) if !is_seated(self.remove(Some(reason))) => return,
            Err(LEAVING | DISCONNECTED) => return,
            Err(_) => {} // it was connected concurrently
        }
        let cx = DisconnectContext {
            socket: self,
            reason,
        };
        let behaviour = &self.0.namespace.behaviour;
        behaviour
            .disconnecting
            .iter()
            .for_each(|handler| handler.call(&cx));
        self.remove(Some(reason));
        crate::stats::disconnected(reason);
        tracing::debug!(target: log_target::SOCKET, socket = %self.0.id, namespace = %Escaped(self.namespace_name()), %reason, "disconnected");
        behaviour
            .disconnect
            .iter()
            .for_each(|handler| handler.call(&cx));
    }

    /// Disconnects the client from the namespace; with `close`, from all its namespaces, and closes its connection.
    ///
    /// The client sees the reason `io server disconnect` and does not reconnect automatically.
    pub fn disconnect(&self, close: bool) {
        if close {
            self.0.connection.state().disconnect_all(&self.0.connection);
        } else {
            self.leave_namespace();
        }
    }

    pub(crate) fn leave_namespace(&self) {
        if !self.is_connected() {
            return;
        }
        // Failure means that the connection is closed, which removes the socket as well.
        let _ = self.0.connection.send_with(|buf| {
            let NamespaceInner { name, codec, .. } = &*self.0.namespace;
            codec.write_disconnect(buf, name);
        });
        self.disconnect_with(DisconnectReason::ServerNamespaceDisconnect);
    }
}
