//! Connection to a Redis deployment: a task that publishes the queue, maintains the subscriptions, and reconnects.
//!
//! Messages come and go over one connection, so that a node sees its own messages in the order in which it sent them,
//! and reads replies and messages with one system call.

mod connect;
mod subscriptions;
mod task;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_cluster::{
    AdapterError, Health, HealthState, Inbox, PublishOutcome, PublishQueue, PushError, QueueLimits,
    publish_queue,
};
use parking_lot::Mutex;
use redis::{Cmd, PushInfo, PushKind, Value};
use tokio::sync::Notify;

use self::connect::{Connection, Connector};
use self::subscriptions::Subscriptions;
pub(crate) use self::subscriptions::{Channel, ChannelKind};
use crate::server::{ConfigError, RedisServer};

/// Time without an answer after which a connection counts as lost.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Number of bytes that a queued command counts beside its arguments.
const COMMAND_BYTES: usize = 128;

/// Options of a connection.
#[derive(Debug, Clone)]
pub(crate) struct LinkOptions {
    pub(crate) limits: QueueLimits,
    /// Time without a connection for which messages are still queued.
    pub(crate) max_outage: Duration,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self {
            limits: QueueLimits::default(),
            max_outage: Duration::from_secs(5),
        }
    }
}

/// A message that the server pushed.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) kind: ChannelKind,
    /// Pattern that matched; empty for other kinds.
    pub(crate) pattern: Vec<u8>,
    pub(crate) channel: Vec<u8>,
    pub(crate) payload: Bytes,
}

impl Message {
    /// Number of bytes that the message holds.
    fn byte_len(&self) -> usize {
        size_of::<Self>() + self.pattern.len() + self.channel.len() + self.payload.len()
    }
}

/// Receiver of the messages that wait, in their order, which takes them out of the list. It is called by one thread at
/// a time.
pub(crate) type OnMessages = Box<dyn Fn(&mut Vec<Message>) + Send + Sync>;

/// Receiver of the reply to a command. It is dropped without a call if the command was dropped from the queue, or the
/// connection was lost before the reply arrived.
pub(crate) trait OnReply: Send {
    /// Receives the reply, which may be an error.
    fn reply(self: Box<Self>, value: Value);

    /// Called instead of `reply` if the command was not queued.
    fn not_sent(self: Box<Self>, outcome: PublishOutcome) {
        let _ = outcome;
    }
}

impl<F: FnOnce(Value) + Send> OnReply for F {
    fn reply(self: Box<Self>, value: Value) {
        self(value);
    }
}

/// A command in the queue.
struct Outgoing {
    command: Cmd,
    on_reply: Option<Box<dyn OnReply>>,
}

/// Opener of separate connections, for commands that block.
#[derive(Clone)]
pub(crate) struct Dialer(Arc<Connector>);

impl Dialer {
    pub(crate) fn new(server: &RedisServer) -> Result<Self, ConfigError> {
        Ok(Self(Arc::new(Connector::new(server)?)))
    }

    pub(crate) async fn connect(&self) -> redis::RedisResult<Dialed> {
        let connected = tokio::time::timeout(ANSWER_TIMEOUT, self.0.connect(Arc::new(drop))).await;
        let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
        Ok(Dialed(connected.map_err(late)??))
    }
}

/// Separate connection, which only its owner uses.
pub(crate) struct Dialed(Connection);

impl Dialed {
    /// Sends a command, and returns its reply, which may be an error.
    pub(crate) async fn request(&mut self, command: Cmd) -> redis::RedisResult<Value> {
        let replies = self.0.send(vec![command]).await?;
        Ok(replies.into_iter().next().unwrap_or(Value::Nil))
    }
}

/// Handle of the connection, which is closed when the last one is dropped.
#[derive(Clone)]
pub(crate) struct Link(Arc<CloseOnDrop>);

struct Shared {
    queue: PublishQueue<Outgoing>,
    health: HealthState,
    /// Whether messages are queued: there is a connection, or one was lost a short time ago.
    accepting: AtomicBool,
    /// Whether the link has been closed.
    closed: AtomicBool,
    subscriptions: Mutex<Subscriptions>,
    subscriptions_changed: Notify,
    /// The current connection, for requests that wait for their reply.
    connection: Mutex<Option<Connection>>,
    /// Notified when the link is closed, for a task that has no connection.
    closing: Notify,
}

impl Shared {
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.accepting.store(false, Ordering::Release);
        self.queue.close();
        self.closing.notify_one();
    }
}

/// Guard that closes the link when its last handle is dropped. The task itself shares only the state.
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Link {
    /// Starts the task that connects. Messages go to `on_messages`.
    ///
    /// # Errors
    /// [`ConfigError`] if an address is invalid, or there is no runtime.
    pub(crate) fn start(
        server: &RedisServer,
        options: &LinkOptions,
        on_messages: OnMessages,
    ) -> Result<Self, ConfigError> {
        let connector = Connector::new(server)?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| ConfigError::NoRuntime)?;
        let (queue, reader) = publish_queue(options.limits);
        let shared = Arc::new(Shared {
            queue,
            health: HealthState::new(),
            accepting: AtomicBool::new(true),
            closed: AtomicBool::new(false),
            subscriptions: Mutex::default(),
            subscriptions_changed: Notify::new(),
            connection: Mutex::new(None),
            closing: Notify::new(),
        });
        let (inbox, deliveries) = Inbox::new(Inbox::<Message>::default_limits(), on_messages);
        runtime.spawn(deliveries);
        let task = task::Task::new(shared.clone(), connector, reader, options, inbox);
        runtime.spawn(task.run());
        Ok(Self(Arc::new(CloseOnDrop(shared))))
    }

    /// Publishes a message to a channel.
    pub(crate) fn publish(
        &self,
        kind: ChannelKind,
        channel: &str,
        payload: Vec<u8>,
    ) -> PublishOutcome {
        let mut command = Cmd::new();
        command.arg(match kind {
            ChannelKind::Sharded => "SPUBLISH",
            _ => "PUBLISH",
        });
        command.arg(channel).arg(payload.as_slice());
        self.send(command, channel.len() + payload.len())
    }

    /// Queues a command, whose arguments have this number of bytes.
    pub(crate) fn send(&self, command: Cmd, bytes: usize) -> PublishOutcome {
        self.push(
            Outgoing {
                command,
                on_reply: None,
            },
            bytes,
        )
    }

    /// Queues a command; its reply goes to `on_reply`.
    pub(crate) fn send_with_reply(
        &self,
        command: Cmd,
        bytes: usize,
        on_reply: Box<dyn OnReply>,
    ) -> PublishOutcome {
        self.push(
            Outgoing {
                command,
                on_reply: Some(on_reply),
            },
            bytes,
        )
    }

    fn push(&self, outgoing: Outgoing, bytes: usize) -> PublishOutcome {
        let shared = self.shared();
        if !shared.accepting.load(Ordering::Acquire) {
            return not_sent(outgoing, PublishOutcome::Down);
        }
        let bytes = bytes.saturating_add(COMMAND_BYTES);
        match shared.queue.try_push(outgoing, bytes) {
            Ok(()) => PublishOutcome::Queued,
            Err(PushError::Closed(outgoing)) => not_sent(outgoing, PublishOutcome::Down),
            Err(error) => not_sent(error.into_inner(), PublishOutcome::Full),
        }
    }

    /// Subscribes to channels, or ends subscriptions; at once or when there is a connection.
    pub(crate) fn subscribe(&self, channels: impl IntoIterator<Item = Channel>, on: bool) {
        let mut subscriptions = self.shared().subscriptions.lock();
        for channel in channels {
            subscriptions.set(channel, on);
        }
        drop(subscriptions);
        self.shared().subscriptions_changed.notify_one();
    }

    /// Subscribes to the sharded channels of rooms that open, and ends the subscriptions of rooms that have been closed
    /// for a while.
    pub(crate) fn rooms_changed(&self, channels: impl IntoIterator<Item = (String, bool)>) {
        let now = Instant::now();
        let mut subscriptions = self.shared().subscriptions.lock();
        for (channel, open) in channels {
            subscriptions.set_room(&channel, open, now);
        }
        drop(subscriptions);
        self.shared().subscriptions_changed.notify_one();
    }

    fn connection(&self) -> Result<Connection, AdapterError> {
        let connection = self.shared().connection.lock().clone();
        connection.ok_or_else(|| AdapterError::new(self.shared().health.get().to_string()))
    }

    /// Returns the number of subscribers of a channel, of all nodes of the deployment.
    pub(crate) async fn subscribers(
        &self,
        kind: ChannelKind,
        channel: &str,
    ) -> Result<usize, AdapterError> {
        let mut connection = self.connection()?;
        answer(connection.subscribers(kind, channel)).await
    }

    /// Sends commands without queueing them, and returns their replies.
    pub(crate) async fn request(&self, commands: Vec<Cmd>) -> Result<Vec<Value>, AdapterError> {
        let mut connection = self.connection()?;
        answer(connection.send(commands)).await
    }

    /// Returns the state of the connection.
    pub(crate) fn health(&self) -> &HealthState {
        &self.shared().health
    }

    /// Queues a command, and waits for its reply.
    ///
    /// # Errors
    /// If it is not sent, or the connection is lost before the reply.
    pub(crate) async fn reply(&self, command: Cmd) -> Result<Value, AdapterError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let on_reply = Box::new(move |value| {
            let _ = sender.send(value);
        });
        match self.send_with_reply(command, 0, on_reply) {
            PublishOutcome::Queued => {}
            outcome => return Err(outcome.into()),
        }
        let lost = |_| AdapterError::new("the connection was lost");
        receiver.await.map_err(lost)
    }

    /// Waits until everything that was queued before has been answered.
    ///
    /// # Errors
    /// If some of it was dropped, or its connection was lost.
    pub(crate) async fn flush(&self) -> Result<(), AdapterError> {
        let mut ping = Cmd::new();
        ping.arg("PING");
        self.reply(ping).await.map(drop)
    }

    /// Whether the link has been closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.shared().closed.load(Ordering::Acquire)
    }

    /// Closes the link without waiting until the queue has been sent.
    pub(crate) fn shut(&self) {
        self.shared().close();
    }

    /// Sends the queue, then closes the connection.
    pub(crate) async fn close(&self) {
        let shared = self.shared();
        shared.close();
        let ended = |health: &Health| matches!(health, Health::Down { .. });
        shared.health.wait_for(ended).await;
    }

    fn shared(&self) -> &Shared {
        &self.0.0
    }
}

fn not_sent(outgoing: Outgoing, outcome: PublishOutcome) -> PublishOutcome {
    if let Some(on_reply) = outgoing.on_reply {
        on_reply.not_sent(outcome);
    }
    outcome
}

async fn answer<T>(sent: impl Future<Output = redis::RedisResult<T>>) -> Result<T, AdapterError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, sent).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(AdapterError::new(error)),
        Err(_) => Err(AdapterError::new(format!(
            "no answer within {ANSWER_TIMEOUT:?}"
        ))),
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("health", &self.shared().health.get())
            .field("queue", &self.shared().queue)
            .finish_non_exhaustive()
    }
}

/// Reads a message; `None` for confirmations and other pushed data.
fn message(info: PushInfo) -> Option<Message> {
    let kind = match info.kind {
        PushKind::Message => ChannelKind::Exact,
        PushKind::PMessage => ChannelKind::Pattern,
        PushKind::SMessage => ChannelKind::Sharded,
        _ => return None,
    };
    let mut parts = info.data.into_iter().map(|value| match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    });
    let pattern = match kind {
        ChannelKind::Pattern => parts.next()??,
        _ => Vec::new(),
    };
    Some(Message {
        kind,
        pattern,
        channel: parts.next()??,
        payload: parts.next()??.into(),
    })
}
