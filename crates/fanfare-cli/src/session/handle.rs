//! Emitter of a session.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use fanfare_client::Socket;
use fanfare_client::ack::AckSender;
use fanfare_client::options::Protocol;
use fanfare_protocol::socket::{AllArgs, Spread};
use parking_lot::Mutex;

use crate::exit::{Code, Failure};
use crate::values::ArgValue;

/// Sender of an event's acknowledgement.
#[derive(Debug, Clone)]
pub(crate) struct Reply(AckSender);

impl Reply {
    pub(super) fn new(sender: AckSender) -> Self {
        Self(sender)
    }

    /// Sends the acknowledgement.
    pub(crate) fn send(self, args: Vec<ArgValue>) -> Result<(), Failure> {
        self.0.send(Spread(AllArgs(args))).map_err(emit_failure)
    }
}

/// Reason for which there was no acknowledgement.
#[derive(Debug)]
pub(crate) enum AskError {
    Timeout,
    Lost(String),
}

/// Emitter of events. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    /// Socket, which is replaced if the server speaks another revision.
    socket: Arc<Mutex<(Socket, Protocol)>>,
    namespace: String,
    /// Approximate length of the longest message emitted, in bytes.
    longest: Arc<AtomicUsize>,
}

impl Handle {
    pub(super) fn new(socket: Socket, protocol: Protocol, namespace: &str) -> Self {
        Self {
            socket: Arc::new(Mutex::new((socket, protocol))),
            namespace: namespace.to_owned(),
            longest: Arc::default(),
        }
    }

    pub(super) fn replace(&self, socket: Socket, protocol: Protocol) {
        *self.socket.lock() = (socket, protocol);
    }

    fn socket(&self) -> Socket {
        self.socket.lock().0.clone()
    }

    fn weigh(&self, args: &[ArgValue]) {
        let weight = args.iter().map(ArgValue::weight).sum();
        self.longest.fetch_max(weight, Relaxed);
    }

    /// Returns the approximate length of the longest message emitted since the last call, in bytes.
    pub(super) fn take_longest(&self) -> usize {
        self.longest.swap(0, Relaxed)
    }

    /// Returns the number of emitted events that have not been sent.
    pub(crate) fn waiting(&self) -> usize {
        self.socket().buffered().0
    }

    /// Emits an event; a `volatile` one is dropped while not connected.
    pub(crate) fn emit(
        &self,
        event: &str,
        args: Vec<ArgValue>,
        volatile: bool,
    ) -> Result<(), Failure> {
        self.weigh(&args);
        let (socket, args) = (self.socket(), Spread(AllArgs(args)));
        let result = if volatile {
            socket.volatile().emit(event, args)
        } else {
            socket.emit(event, args)
        };
        result.map_err(emit_failure)
    }

    /// Emits an event, and waits while the queue is full, where [`emit`](Self::emit) fails: a pipe may be faster than
    /// the network.
    pub(crate) async fn push(&self, event: &str, args: Vec<ArgValue>) -> Result<(), Failure> {
        self.weigh(&args);
        let socket = self.socket();
        loop {
            match socket.emit(event, Spread(AllArgs(args.clone()))) {
                Err(fanfare_client::EmitError::Full { .. }) => {
                    socket.flushed(Duration::MAX).await;
                }
                result => return result.map_err(emit_failure),
            }
        }
    }

    /// Waits until all emitted events have been sent.
    pub(crate) async fn flushed(&self) {
        self.socket().flushed(Duration::MAX).await;
    }

    /// Emits an event and waits for its acknowledgement.
    pub(crate) async fn ask(
        &self,
        event: &str,
        args: Vec<ArgValue>,
        patience: Duration,
    ) -> Result<Vec<ArgValue>, AskError> {
        self.weigh(&args);
        let socket = self.socket();
        let request = socket
            .timeout(patience)
            .emit_with_ack::<AllArgs<ArgValue>>(event, Spread(AllArgs(args)));
        match request.await {
            Ok(AllArgs(answer)) => Ok(answer),
            Err(fanfare_client::AckError::Timeout) => Err(AskError::Timeout),
            Err(error) => Err(AskError::Lost(error.to_string())),
        }
    }

    /// Connects again after a disconnection.
    pub(crate) fn connect(&self) {
        self.socket().connect();
    }

    /// Flushes and disconnects.
    pub(crate) async fn disconnect(&self) {
        self.socket().disconnect().await;
    }

    /// Returns the lines of `info`.
    pub(crate) fn info(&self) -> Vec<(&'static str, String)> {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let (socket, protocol) = self.socket.lock().clone();
        let id = socket.id().map(|id| id.to_string());
        let transport = socket.manager().transport().map(|name| name.to_string());
        let protocol = match protocol {
            Protocol::V3 => "Socket.IO 4, Engine.IO 3 (server v1 or v2)",
            Protocol::V4 => "Socket.IO 5, Engine.IO 4",
        };
        let state = if id.is_some() {
            "connected"
        } else {
            "not connected"
        };
        vec![
            ("state", state.to_owned()),
            ("id", or_none(id)),
            ("namespace", self.namespace.clone()),
            ("transport", or_none(transport)),
            ("protocol", protocol.to_owned()),
            ("waiting to be sent", socket.buffered().0.to_string()),
            ("awaited acks", socket.pending_acks().to_string()),
        ]
    }
}

fn emit_failure(error: fanfare_client::EmitError) -> Failure {
    let code = match error {
        fanfare_client::EmitError::NotSerializable(_) => Code::Usage,
        _ => Code::Failed,
    };
    Failure::new(code, "the event cannot be emitted").because(error)
}
