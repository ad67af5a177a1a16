//! WebSocket input, and the upgrade from polling to WebSocket.

use std::time::Instant;

use bytes::Bytes;

use super::wire::parse_error;
use super::{Engine, Output, Probe, Queued, Sink, State, Ws};
use crate::client::{Action, DisconnectReason, Packet, Transport, TransportError};

impl Engine {
    pub(super) fn websocket_open(&mut self, sink: &mut Sink<'_>) {
        if self.ws != Ws::Connecting {
            return;
        }
        self.ws = Ws::Open;
        if let Probe::Connecting { deadline } = self.probe {
            self.probe = Probe::Sent { deadline };
            self.write(
                vec![Packet::text(Bytes::from_static(b"2probe"))],
                false,
                sink,
            );
        }
    }

    pub(super) fn probe_answer(&mut self, now: Instant, text: &[u8], sink: &mut Sink<'_>) {
        match self.probe {
            Probe::Sent { deadline } if text == b"3probe" => {
                self.probe = Probe::Pausing { deadline };
                self.finish_pause(now, sink);
            }
            Probe::Sent { .. } | Probe::Connecting { .. } => {
                self.abandon_probe(now, TransportError::new("probe error"), sink);
            }
            // The server must not send anything here before `5`.
            Probe::Pausing { .. } => {
                self.fail(
                    now,
                    DisconnectReason::ParseError,
                    Some(parse_error("packet before the upgrade")),
                    sink,
                );
            }
            Probe::None => {}
        }
    }

    /// Completes the upgrade once no polling request is in flight.
    pub(super) fn finish_pause(&mut self, now: Instant, sink: &mut Sink<'_>) {
        let busy = self.get || self.backlog.is_some() || self.post || self.writing;
        if busy || !matches!(self.probe, Probe::Pausing { .. }) {
            return;
        }
        self.probe = Probe::None;
        self.transport = Transport::WebSocket;
        self.buffer
            .push_front(Queued::Packet(Packet::text(Bytes::from_static(b"5"))));
        self.buffered += 1;
        self.deliver(Output::Upgrade, sink);
        self.flush(now, sink);
    }

    pub(super) fn abandon_probe(
        &mut self,
        now: Instant,
        error: TransportError,
        sink: &mut Sink<'_>,
    ) {
        self.probe = Probe::None;
        self.ws = Ws::None;
        self.writing = false;
        sink.actions.push_back(Action::CloseWebSocket {
            connection: self.id,
        });
        self.deliver(Output::UpgradeError(error), sink);
        self.flush(now, sink);
    }

    pub(super) fn websocket_closed(
        &mut self,
        now: Instant,
        result: Result<Option<String>, TransportError>,
        sink: &mut Sink<'_>,
    ) {
        if self.ws == Ws::None {
            return;
        }
        self.writing = false;
        match self.probe {
            Probe::Connecting { .. } | Probe::Sent { .. } => {
                let error = result
                    .err()
                    .unwrap_or_else(|| TransportError::new("transport closed"));
                self.abandon_probe(now, error, sink);
            }
            Probe::Pausing { .. } | Probe::None => {
                self.ws = Ws::None;
                if matches!(self.state, State::Closing { .. } | State::Goodbye { .. }) {
                    return self.abort(sink);
                }
                match result {
                    Ok(details) if self.state == State::Open => {
                        let details = details.map(|text| {
                            TransportError::new("websocket connection closed")
                                .with_description(text)
                        });
                        self.fail(now, DisconnectReason::TransportClose, details, sink);
                    }
                    Ok(_) => {
                        let error = TransportError::new("websocket error")
                            .with_description("closed before the handshake");
                        self.fail(now, DisconnectReason::TransportError, Some(error), sink);
                    }
                    Err(error) => {
                        self.fail(now, DisconnectReason::TransportError, Some(error), sink);
                    }
                }
            }
        }
    }
}
