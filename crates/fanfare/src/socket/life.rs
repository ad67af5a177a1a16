//! How a socket comes and goes.

use std::sync::atomic::Ordering;

use super::{CONNECTED, CONNECTING, DISCONNECTED, LEAVING, Socket, is_seated};
use crate::handler::{ConnectContext, DisconnectContext};
use crate::namespace::NamespaceInner;
use crate::reason::DisconnectReason;
use crate::recovery::Recovery;

impl Socket {
    /// Middlewares have passed: takes a seat and tells the client. `false` if it has gone meanwhile.
    pub(crate) fn welcome(&self) -> bool {
        let recovery = self.0.namespace.recovery.as_deref();
        let mut state = recovery.map(Recovery::lock);
        let mut index = self.0.namespace.rooms.write();
        if self.0.phase.load(Ordering::Acquire) != CONNECTING {
            return false;
        }
        let seat = index.insert(self.clone());
        self.0.seat.store(seat, Ordering::Relaxed);
        let mut rooms = match self.0.extra.get() {
            Some(extra) => std::mem::take(&mut *extra.early_rooms.lock()),
            None => Vec::new(),
        };
        let mut resumed = None;
        if let (Some(recovery), Some(state), Some(part)) = (recovery, &mut state, self.part()) {
            resumed = Some(recovery.admit(state, self, &mut part.lock(), &mut rooms));
        }
        let hub = &self.0.namespace.room_hub;
        hub.joined(&self.0.id, &self.0.id, true);
        for room in &rooms {
            let change = index.join(seat, room);
            if change.moved {
                hub.joined(room, &self.0.id, change.room);
            }
        }
        let (pid, missed) = match &resumed {
            Some((pid, missed)) => (Some(&**pid), missed.as_slice()),
            None => (None, &[][..]),
        };
        // Sent while nobody else can find the socket, so that no broadcast overtakes it; with all that it missed as one
        // message, which an outbox takes however long it is.
        let sent = self.0.connection.send_with(|buf| {
            let NamespaceInner { name, codec, .. } = &*self.0.namespace;
            let protocol = self.0.connection.protocol();
            codec.write_connect_reply(buf, protocol, name, &self.0.id, pid);
            missed.iter().for_each(|message| buf.append(message));
        });
        self.0.phase.store(CONNECTED, Ordering::Release);
        self.0.namespace.stats.joined();
        drop(index);
        drop(state);
        if let Some(recovery) = recovery {
            recovery.sweep(&self.0.namespace);
        }
        tracing::debug!(socket = %self.0.id, namespace = self.namespace(), "connected");
        if sent.is_err() {
            tracing::debug!(socket = %self.0.id, "the client went while it was welcomed");
        }
        let cx = ConnectContext { socket: self };
        self.0
            .namespace
            .behaviour
            .connect
            .iter()
            .for_each(|handler| handler.call(&cx));
        true
    }

    /// A middleware refused the client, or it went before it was connected.
    pub(crate) fn reject(&self) {
        self.retire(None);
    }

    /// From now on the socket is gone for everybody; gives the phase it was in.
    pub(crate) fn retire(&self, reason: Option<DisconnectReason>) -> u8 {
        let recovery = self.0.namespace.recovery.as_deref();
        let mut state = recovery.map(Recovery::lock);
        let mut index = self.0.namespace.rooms.write();
        let was = self.0.phase.swap(DISCONNECTED, Ordering::AcqRel);
        if is_seated(was) {
            let left = index.remove(self.0.seat.load(Ordering::Relaxed));
            let hub = &self.0.namespace.room_hub;
            for (room, deleted) in left.map(|(_, left)| left).unwrap_or_default() {
                hub.left(&room, &self.0.id, deleted);
            }
            hub.left(&self.0.id, &self.0.id, true);
            self.0.namespace.stats.left();
        }
        drop(index);
        if let (Some(recovery), Some(state), Some(part)) = (recovery, &mut state, self.part()) {
            recovery.depart(state, self, &mut part.lock(), reason);
        }
        drop(state);
        if was != DISCONNECTED {
            self.0.namespace.exit();
        }
        was
    }

    /// Leaves the namespace, once; what follows on the wire is the caller's business.
    pub(crate) fn farewell(&self, reason: DisconnectReason) {
        let leaving = {
            let _state = self.0.namespace.recovery.as_deref().map(Recovery::lock);
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
            Err(CONNECTING) if !is_seated(self.retire(Some(reason))) => return,
            Err(LEAVING | DISCONNECTED) => return,
            Err(_) => {} // it was connected in the very moment it went
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
        self.retire(Some(reason));
        if let Some(extra) = self.0.extra.get() {
            extra.acks.clear();
            self.off_any_outgoing();
            if let Some(listeners) = extra.listeners.get() {
                listeners.clear(); // they may hold the socket, which would never be freed
            }
        }
        self.0.namespace.broadcast_acks.gone(&self.0.id);
        crate::stats::disconnected(reason);
        tracing::debug!(socket = %self.0.id, namespace = self.namespace(), %reason, "disconnected");
        behaviour
            .disconnect
            .iter()
            .for_each(|handler| handler.call(&cx));
    }

    /// Disconnects the client from the namespace; with `close` from all its namespaces, and closes its connection.
    ///
    /// The client sees the reason `io server disconnect` and does not reconnect by itself.
    pub fn disconnect(&self, close: bool) {
        if close {
            self.0.connection.state().disconnect_all(&self.0.connection);
        } else {
            self.leave_namespace();
        }
    }

    pub(crate) fn leave_namespace(&self) {
        if !self.connected() {
            return;
        }
        // Failure means that the connection is gone, which ends the socket as well.
        let _ = self.0.connection.send_with(|buf| {
            let NamespaceInner { name, codec, .. } = &*self.0.namespace;
            codec.write_disconnect(buf, name);
        });
        self.0.connection.state().remove(self);
        self.farewell(DisconnectReason::ServerNamespaceDisconnect);
    }
}
