//! Connection to a server of NATS that reconnects by itself.
//!
//! One task reads and writes. All subscriptions share its stream of messages, so that messages for different subjects
//! keep the order in which their sender published them.

mod dial;
mod subscriptions;
mod task;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
pub(crate) use dial::Io;
use fanfare_cluster::{AdapterError, HealthState, PublishOutcome, PublishQueue, publish_queue};
use parking_lot::Mutex;
use subscriptions::Subscriptions;
pub(crate) use task::Driver;
use tokio::sync::{Notify, oneshot};

use crate::options::ConnectionOptions;
use crate::protocol::{self, Incoming};

/// Maximum number of requests that wait for their replies.
const MAX_REQUESTS: usize = 8192;
/// First letter of the last token of the subjects of replies that go to the handler instead of a waiting request.
const TO_HANDLER: char = 'h';
/// Payload that every server accepts by default, in bytes: assumed before the first connection.
const DEFAULT_MAX_PAYLOAD: usize = 1 << 20;

/// Receiver of the messages of a connection. Its methods are called by the connection's task and do not block.
pub(crate) trait Handler: Send + Sync + 'static {
    /// Called when the connection is open and the server knows all subscriptions.
    fn connected(&self);
    /// Called when the connection is lost.
    fn disconnected(&self);
    /// Called when there has been no connection for so long that messages are no longer queued.
    fn gave_up(&self);
    /// Called with a message of a subscription, or a reply to [`Connection::handler_inbox`].
    fn message(&self, message: Incoming);
    /// Calls `work`, which passes on several messages that have arrived together.
    fn batch(&self, work: &mut dyn FnMut()) {
        work();
    }
}

/// Handle of the connection. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connection(Arc<Shared>);

/// Message in the form of the protocol.
struct Frame {
    bytes: Bytes,
    /// Number of the only connection on which it may be sent.
    connection: Option<u64>,
    /// Notified when the server has processed the message, which is a ping in this case.
    flush: Option<oneshot::Sender<()>>,
}

struct Shared {
    options: ConnectionOptions,
    queue: PublishQueue<Frame>,
    health: HealthState,
    /// Whether there is a connection.
    up: AtomicBool,
    /// Number of the current or last connection.
    number: AtomicU64,
    /// Whether messages are queued: there is a connection, or it was lost a short time ago.
    accepts: AtomicBool,
    max_payload: AtomicUsize,
    subscriptions: Mutex<Subscriptions>,
    /// Notified when subscriptions change or a ping has to be answered.
    changed: Notify,
    /// Number of the server's pings that have not been answered.
    pongs_due: AtomicUsize,
    inbox: String,
    requests: Mutex<HashMap<u64, oneshot::Sender<Incoming>>>,
    next_request: AtomicU64,
    /// Number of pings sent and of answers received, and the callers that wait for an answer.
    pings: Mutex<Pings>,
    /// Whether messages were dropped, or may be lost, since this was last read.
    lost: AtomicBool,
    /// Notified when the task ends.
    ended: Notify,
}

/// Pings of a connection.
#[derive(Default)]
struct Pings {
    sent: u64,
    answered: u64,
    waiting: VecDeque<(u64, oneshot::Sender<()>)>,
}

/// Reason for which a request has no reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("{0}")]
    NotSent(PublishOutcome),
    #[error("{MAX_REQUESTS} requests wait for their replies")]
    TooMany,
    #[error("NATS did not reply in time")]
    Timeout,
    #[error("the connection to NATS was lost")]
    Lost,
    #[error("no server replies to this request: JetStream is not enabled")]
    NoResponders,
}

impl Connection {
    /// Creates a connection, which opens when its driver runs.
    pub(crate) fn new(options: ConnectionOptions) -> (Self, Driver) {
        let (queue, reader) = publish_queue(options.queue);
        let inbox = format!("_INBOX.{}.", fanfare_cluster::unique_id());
        let mut subscriptions = Subscriptions::default();
        subscriptions.subscribe(&format!("{inbox}*"));
        let shared = Arc::new(Shared {
            options,
            queue,
            health: HealthState::new(),
            up: AtomicBool::new(false),
            number: AtomicU64::new(0),
            accepts: AtomicBool::new(true),
            max_payload: AtomicUsize::new(DEFAULT_MAX_PAYLOAD),
            subscriptions: Mutex::new(subscriptions),
            changed: Notify::new(),
            pongs_due: AtomicUsize::new(0),
            inbox,
            requests: Mutex::default(),
            next_request: AtomicU64::new(0),
            pings: Mutex::default(),
            lost: AtomicBool::new(false),
            ended: Notify::new(),
        });
        (Self(shared.clone()), Driver::new(shared, reader))
    }

    pub(crate) fn health(&self) -> &HealthState {
        &self.0.health
    }

    /// Whether there is a connection.
    pub(crate) fn is_up(&self) -> bool {
        self.0.up.load(Ordering::Acquire)
    }

    /// Returns the length of the longest payload that the server accepts, headers included.
    pub(crate) fn max_payload(&self) -> usize {
        self.0.max_payload.load(Ordering::Relaxed)
    }

    /// Returns the time without a connection for which messages are queued.
    pub(crate) fn max_outage(&self) -> Duration {
        self.0.options.max_outage
    }

    /// Queues a message.
    pub(crate) fn publish(
        &self,
        subject: &str,
        reply: Option<&str>,
        headers: &[(&str, &str)],
        payload: &[u8],
    ) -> PublishOutcome {
        match self.0.accepts.load(Ordering::Acquire) {
            true => self.push(Frame {
                bytes: protocol::publish(subject, reply, headers, payload),
                connection: None,
                flush: None,
            }),
            false => PublishOutcome::Down,
        }
    }

    /// Queues a message in the form of the protocol, which is sent only on the connection of this number.
    pub(crate) fn publish_on(&self, number: u64, bytes: Bytes) -> PublishOutcome {
        self.push(Frame {
            bytes,
            connection: Some(number),
            flush: None,
        })
    }

    fn push(&self, frame: Frame) -> PublishOutcome {
        let bytes = frame.bytes.len();
        match self.0.queue.try_push(frame, bytes) {
            Ok(()) => PublishOutcome::Queued,
            Err(error) => error.into(),
        }
    }

    /// Whether messages are queued, although there may be no connection at the moment.
    pub(crate) fn accepts(&self) -> bool {
        self.0.accepts.load(Ordering::Acquire)
    }

    /// Returns the number of the present or last connection.
    pub(crate) fn number(&self) -> u64 {
        self.0.number.load(Ordering::Acquire)
    }

    /// Adds a subscription, or a user of an existing one.
    pub(crate) fn subscribe(&self, subject: &str) {
        if self.0.subscriptions.lock().subscribe(subject) {
            self.0.changed.notify_one();
        }
    }

    /// Removes a user of a subscription, which ends some time after its last user has gone.
    pub(crate) fn unsubscribe(&self, subject: &str) {
        let now = Instant::now();
        if self.0.subscriptions.lock().unsubscribe(subject, now) {
            self.0.changed.notify_one();
        }
    }

    pub(crate) fn is_subscribed(&self, subject: &str) -> bool {
        self.0.subscriptions.lock().contains(subject)
    }

    /// Returns a reply subject whose messages go to the [`Handler`].
    pub(crate) fn handler_inbox(&self, token: &str) -> String {
        format!("{}{TO_HANDLER}{token}", self.0.inbox)
    }

    /// Sends a request and waits for the first reply.
    pub(crate) async fn request(
        &self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: &[u8],
        timeout: Duration,
    ) -> Result<Incoming, RequestError> {
        let shared = &self.0;
        if !self.is_up() {
            return Err(RequestError::NotSent(PublishOutcome::Down));
        }
        let id = shared.next_request.fetch_add(1, Ordering::Relaxed);
        let (tx, rx) = oneshot::channel();
        {
            let mut requests = shared.requests.lock();
            if requests.len() >= MAX_REQUESTS {
                return Err(RequestError::TooMany);
            }
            requests.insert(id, tx);
        }
        let _cancel = Cancel(shared, id);
        let reply = format!("{}{id}", shared.inbox);
        match self.publish(subject, Some(&reply), headers, payload) {
            PublishOutcome::Queued => {}
            outcome => return Err(RequestError::NotSent(outcome)),
        }
        match tokio::time::timeout(timeout, rx).await {
            Err(_) => Err(RequestError::Timeout),
            Ok(Err(_)) => Err(RequestError::Lost),
            Ok(Ok(message)) if message.status() == Some(503) => Err(RequestError::NoResponders),
            Ok(Ok(message)) => Ok(message),
        }
    }

    /// Waits until the server has processed all earlier messages. Fails if some may be lost.
    pub(crate) async fn flush(&self) -> Result<(), AdapterError> {
        let (tx, rx) = oneshot::channel();
        let ping = Frame {
            bytes: Bytes::from_static(b"PING\r\n"),
            connection: None,
            flush: Some(tx),
        };
        let outcome = match self.accepts() {
            true => self.push(ping),
            false => PublishOutcome::Down,
        };
        let answered = outcome.is_queued() && rx.await.is_ok();
        match self.0.lost.swap(false, Ordering::Relaxed) || !answered {
            true => Err(AdapterError::new(
                "messages are lost, as NATS was out of reach",
            )),
            false => Ok(()),
        }
    }

    /// Closes the connection after the queued messages have been sent.
    pub(crate) fn stop(&self) {
        self.0.queue.close();
        self.0.changed.notify_one();
    }

    /// Sends the queue and closes the connection; waits at most this long.
    pub(crate) async fn close(&self, timeout: Duration) {
        let ended = self.0.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        self.stop();
        let _ = tokio::time::timeout(timeout, ended).await;
    }
}

/// Guard that removes a request when its future is dropped.
struct Cancel<'a>(&'a Shared, u64);

impl Drop for Cancel<'_> {
    fn drop(&mut self) {
        self.0.requests.lock().remove(&self.1);
    }
}

impl Shared {
    /// Passes a message to the request that waits for it, or to the handler.
    fn dispatch(&self, message: Incoming, handler: &dyn Handler) {
        match message.subject.strip_prefix(self.inbox.as_str()) {
            Some(token) if !token.starts_with(TO_HANDLER) => {
                let id = token.parse().ok();
                let waiting = id.and_then(|id| self.requests.lock().remove(&id));
                if let Some(waiting) = waiting {
                    let _ = waiting.send(message);
                }
            }
            _ => handler.message(message),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("health", &self.health().get())
            .field("queue", &self.0.queue)
            .finish_non_exhaustive()
    }
}
