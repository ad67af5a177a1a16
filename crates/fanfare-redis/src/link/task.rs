//! The task of a connection.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fanfare_cluster::{Health, Inbox, QueueReader, reconnection_delays};
use fanfare_protocol::{Escaped, deadline as after};
use redis::{Cmd, PushInfo, PushKind, RedisResult, Value};
use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::connect::{Connection, Connector, OnPush};
use super::subscriptions::Channel;
use super::{ANSWER_TIMEOUT, LinkOptions, Message, OnReply, Outgoing, Shared, message};
use crate::log_target;

/// Longest delay between two attempts to connect, so that deliveries resume within a second of the server's return.
const MAX_DELAY: Duration = Duration::from_millis(500);

/// Maximum number of commands of one batch.
const MAX_BATCH: usize = 512;

/// Maximum number of channels whose subscription one batch changes.
const MAX_CHANNELS: usize = 512;

/// Time without traffic after which the connection is checked.
const IDLE_CHECK: Duration = Duration::from_secs(2);

/// Time without an answer after which the state becomes degraded.
const SLOW: Duration = Duration::from_secs(2);

/// Minimum age of a lost connection that is replaced without a delay.
const STABLE: Duration = Duration::from_secs(1);

/// End of a connection.
enum Ended {
    /// The link has been closed, and the queue has been sent.
    Closed,
    /// The connection was lost.
    Lost(String),
}

pub(super) struct Task {
    shared: Arc<Shared>,
    connector: Connector,
    reader: QueueReader<Outgoing>,
    max_outage: Duration,
    inbox: Inbox<Message>,
    /// Time at which the last connection was lost, or the link was started.
    lost_at: Instant,
}

impl Task {
    pub(super) fn new(
        shared: Arc<Shared>,
        connector: Connector,
        reader: QueueReader<Outgoing>,
        options: &LinkOptions,
        inbox: Inbox<Message>,
    ) -> Self {
        Self {
            shared,
            connector,
            reader,
            max_outage: options.max_outage,
            inbox,
            lost_at: Instant::now(),
        }
    }

    pub(super) async fn run(mut self) {
        let mut backoff = reconnection_delays(MAX_DELAY);
        loop {
            let lost = Arc::new(Notify::new());
            let connecting = connect(&self.shared, &self.connector, &self.inbox, &lost);
            let until = self.until();
            let connected = outage(&self.shared, &mut self.reader, until, connecting).await;
            let reason = match connected {
                None => "closed".to_owned(),
                Some(Err(error)) => error.to_string(),
                Some(Ok(connection)) => {
                    self.up(&connection);
                    let begun = Instant::now();
                    let ended = self.serve(connection, &lost).await;
                    self.shared.connection.lock().take();
                    self.lost_at = Instant::now();
                    if begun.elapsed() > STABLE {
                        backoff.reset();
                    }
                    match ended {
                        Ended::Closed => "closed".to_owned(),
                        Ended::Lost(reason) => reason,
                    }
                }
            };
            if self.shared.health.down(self.lost_at, &reason) && !self.is_closed() {
                tracing::warn!(target: log_target::CLUSTER, %reason, "no connection to Redis");
            }
            if self.is_closed() {
                return;
            }
            let delay = tokio::time::sleep(backoff.next_delay());
            let until = self.until();
            outage(&self.shared, &mut self.reader, until, delay).await;
        }
    }

    fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Time until which messages are queued without a connection.
    fn until(&self) -> Instant {
        after(self.lost_at, self.max_outage)
    }

    fn up(&self, connection: &Connection) {
        *self.shared.connection.lock() = Some(connection.clone());
        if !self.is_closed() {
            self.shared.accepting.store(true, Ordering::Release);
        }
        self.shared.health.set(Health::Up);
        tracing::info!(target: log_target::CLUSTER, "connected to Redis");
    }

    /// Publishes and subscribes until the connection is lost or the link is closed.
    async fn serve(&mut self, mut connection: Connection, lost: &Notify) -> Ended {
        let mut batch = Vec::new();
        loop {
            let sent = tokio::select! {
                biased;
                () = lost.notified() => return Ended::Lost("connection closed".to_owned()),
                () = self.shared.subscriptions_changed.notified() => {
                    let changes = self.shared.subscriptions.lock().take_changes();
                    self.answered(lost, subscribe(&mut connection, &changes)).await
                }
                count = self.reader.next_batch(&mut batch, MAX_BATCH) => {
                    if count == 0 {
                        return Ended::Closed;
                    }
                    let sending = publish(&mut connection, &mut batch);
                    self.answered(lost, sending).await
                }
                () = rooms_close(&self.shared) => continue,
                () = tokio::time::sleep(IDLE_CHECK) => {
                    let mut ping = Cmd::new();
                    ping.arg("PING");
                    let checked = async { connection.send(vec![ping]).await.map(|_| None) };
                    self.answered(lost, checked).await
                }
            };
            if let Err(reason) = sent {
                return Ended::Lost(reason);
            }
        }
    }

    /// Sets the state, which is degraded if the server rejects commands, and logs its changes.
    fn set_health(&self, rejected: Option<String>) {
        match rejected {
            None => {
                if self.shared.health.set(Health::Up) {
                    tracing::info!(target: log_target::CLUSTER, "Redis accepts commands");
                }
            }
            Some(error) => {
                let reason = format!("Redis rejects commands: {}", Escaped(&error));
                if self.shared.health.set(Health::degraded(&reason)) {
                    tracing::warn!(target: log_target::CLUSTER, %reason, "degraded");
                }
            }
        }
    }

    /// Waits for an answer. If it takes long, the state becomes degraded; if it takes too long, the connection counts
    /// as lost.
    async fn answered(
        &self,
        lost: &Notify,
        sent: impl Future<Output = RedisResult<Option<String>>>,
    ) -> Result<(), String> {
        let begun = tokio::time::Instant::now();
        let mut sent = std::pin::pin!(sent);
        let mut slow = false;
        loop {
            let deadline = begun + if slow { ANSWER_TIMEOUT } else { SLOW };
            tokio::select! {
                biased;
                answer = &mut sent => {
                    let rejected = answer.map_err(|error| error.to_string())?;
                    self.set_health(rejected);
                    return Ok(());
                }
                () = lost.notified() => return Err("connection closed".to_owned()),
                () = sleep_until(deadline) => {
                    let reason = format!("no answer for {:?}", if slow { ANSWER_TIMEOUT } else { SLOW });
                    if slow {
                        return Err(reason);
                    }
                    slow = true;
                    self.shared.health.set(Health::degraded(reason));
                }
            }
        }
    }
}

/// Waits until rooms have been closed for so long that their subscriptions end, which is then a change to send.
async fn rooms_close(shared: &Shared) {
    let next = shared.subscriptions.lock().poll_timeout();
    match next {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
    shared.subscriptions.lock().handle_timeout(Instant::now());
    shared.subscriptions_changed.notify_one();
}

/// Waits for `next` while there is no connection. When the time for which messages are queued has passed, the queue is
/// emptied, and no more is accepted. `None` if the link is closed meanwhile.
async fn outage<T>(
    shared: &Shared,
    reader: &mut QueueReader<Outgoing>,
    until: Instant,
    next: impl Future<Output = T>,
) -> Option<T> {
    let mut next = std::pin::pin!(next);
    loop {
        let accepting = shared.accepting.load(Ordering::Acquire);
        tokio::select! {
            biased;
            value = &mut next => return Some(value),
            () = sleep_until(until.into()), if accepting => {
                shared.accepting.store(false, Ordering::Release);
                // Messages that are queued between these two lines are sent later, or dropped with the next outage.
                let dropped = reader.clear();
                tracing::warn!(target: log_target::CLUSTER, dropped, "Redis is down: messages are dropped");
            }
            () = shared.closing.notified() => return None,
        }
    }
}

/// Connects, and subscribes to all channels that are wanted.
async fn connect(
    shared: &Shared,
    connector: &Connector,
    inbox: &Inbox<Message>,
    lost: &Arc<Notify>,
) -> RedisResult<Connection> {
    let (inbox, lost) = (inbox.clone(), lost.clone());
    let on_push: OnPush = Arc::new(move |info: PushInfo| {
        if info.kind == PushKind::Disconnection {
            lost.notify_one();
        } else if let Some(message) = message(info) {
            let bytes = message.byte_len();
            inbox.push(message, bytes);
        }
    });
    let connecting = async {
        let mut connection = connector.connect(on_push).await?;
        let channels = shared.subscriptions.lock().all();
        subscribe(&mut connection, &channels).await?;
        Ok(connection)
    };
    match tokio::time::timeout(ANSWER_TIMEOUT, connecting).await {
        Ok(connected) => connected,
        Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
    }
}

/// Sends changes of subscriptions.
async fn subscribe(
    connection: &mut Connection,
    changes: &[(Channel, bool)],
) -> RedisResult<Option<String>> {
    let mut groups: BTreeMap<_, Vec<&Channel>> = BTreeMap::new();
    for (channel, on) in changes {
        groups.entry((channel.kind, *on)).or_default().push(channel);
    }
    for ((kind, on), channels) in groups {
        for part in channels.chunks(MAX_CHANNELS) {
            connection.subscribe(kind, part, on).await?;
        }
    }
    Ok(None)
}

/// Sends a batch, passes the replies on, and returns the first error with which the server rejected a command.
async fn publish(
    connection: &mut Connection,
    batch: &mut Vec<Outgoing>,
) -> RedisResult<Option<String>> {
    let mut commands = Vec::with_capacity(batch.len());
    let mut waiting: Vec<Option<Box<dyn OnReply>>> = Vec::with_capacity(batch.len());
    for Outgoing { command, on_reply } in batch.drain(..) {
        commands.push(command);
        waiting.push(on_reply);
    }
    let replies = connection.send(commands).await?;
    let mut rejected = None;
    for (reply, on_reply) in replies.into_iter().zip(waiting) {
        if let Value::ServerError(error) = &reply {
            rejected.get_or_insert_with(|| error.to_string());
        }
        if let Some(on_reply) = on_reply {
            on_reply.reply(reply);
        }
    }
    Ok(rejected)
}
