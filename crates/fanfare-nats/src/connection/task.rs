//! Task that keeps the connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use fanfare_cluster::{Health, QueueReader, reconnection_delays};
use fanfare_protocol::deadline;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::oneshot;

use super::dial::{Dialed, Io, Lost, dial};
use super::{Frame, Handler, Shared};
use crate::log_target;
use crate::options::ServerAddress;
use crate::protocol::{Operation, Parser};

/// Timeout of an attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest delay between two attempts to connect.
const MAX_DELAY: Duration = Duration::from_millis(500);
/// Interval of pings.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// Number of intervals without data from the server after which the connection counts as lost.
const MAX_SILENT_INTERVALS: u32 = 4;
/// Timeout for the server to accept written data.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum number of messages of one write.
const BATCH: usize = 1024;
/// Minimum length, in bytes, of a queued message that is written separately, without a copy.
const SEPARATE_WRITE_BYTES: usize = 64 * 1024;
/// Capacity that the buffer of collected messages keeps between two writes, in bytes.
const KEPT_BUFFER_BYTES: usize = 64 * 1024;
/// Maximum number of servers that are learned from other servers.
const MAX_LEARNED: usize = 64;
/// Maximum number of operations that are handled before other tasks run. Their bytes are bounded by the read buffer, of
/// which a longer message is the last.
const MAX_TURN_OPERATIONS: usize = 64;
/// Free part of the read buffer, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// Task of a connection.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    queue: QueueReader<Frame>,
    learned: Vec<ServerAddress>,
}

impl Driver {
    pub(super) fn new(shared: Arc<Shared>, queue: QueueReader<Frame>) -> Self {
        Self {
            shared,
            queue,
            learned: Vec::new(),
        }
    }

    /// Connects repeatedly until the handle closes the connection.
    pub(crate) async fn run(mut self, handler: Arc<dyn Handler>) {
        let shared = self.shared.clone();
        let _ended = Ended(shared.clone());
        let mut backoff = reconnection_delays(MAX_DELAY);
        let (mut attempt, mut delay) = (0_usize, backoff.next_delay());
        let mut give_up = deadline(Instant::now(), shared.options.max_outage);
        while !shared.queue.is_closed() {
            let Some((address, count)) = self.address(attempt) else {
                return;
            };
            attempt = attempt.wrapping_add(1);
            let dialed = dial(&address, &shared.options);
            let dialed = self.within_outage(&*handler, give_up, dialed).await;
            let lost = match dialed {
                Err(lost) => lost,
                Ok(dialed) => {
                    let was_up = AtomicBool::new(false);
                    let ended = self.serve(&address, dialed, &*handler, &was_up).await;
                    shared.up.store(false, Ordering::Release);
                    shared.requests.lock().clear();
                    let unanswered = std::mem::take(&mut *shared.pings.lock());
                    if ended.is_err() && was_up.load(Ordering::Relaxed) {
                        // The server may not have received the last writes.
                        shared.lost.store(true, Ordering::Relaxed);
                    }
                    drop(unanswered);
                    if was_up.load(Ordering::Relaxed) {
                        backoff.reset();
                        (attempt, delay) = (0, backoff.next_delay());
                        give_up = deadline(Instant::now(), shared.options.max_outage);
                        handler.disconnected();
                    }
                    match ended {
                        Ok(()) => return,
                        Err(lost) => lost,
                    }
                }
            };
            let now = Instant::now();
            if shared.health.down(now, format_args!("{address}: {lost}")) {
                tracing::warn!(target: log_target::CLUSTER, %address, error = %lost, "not connected to NATS, trying again");
            } else {
                tracing::debug!(target: log_target::CLUSTER, %address, error = %lost, "not connected to NATS, trying again");
            }
            let closed = async {
                while !shared.queue.is_closed() {
                    shared.changed.notified().await;
                }
                Ok(())
            };
            let pause = async {
                tokio::select! {
                    () = tokio::time::sleep(delay) => Ok(()),
                    closed = closed => closed,
                }
            };
            let _: Result<(), Lost> = self.within_outage(&*handler, give_up, pause).await;
            if attempt % count == 0 {
                delay = backoff.next_delay();
            }
        }
    }

    /// Returns the server for an attempt, and the number of servers.
    fn address(&self, attempt: usize) -> Option<(ServerAddress, usize)> {
        let configured = &self.shared.options.servers;
        let count = configured.len() + self.learned.len();
        let index = attempt.checked_rem(count)?;
        let mut all = configured.iter().chain(&self.learned);
        Some((all.nth(index)?.clone(), count))
    }

    /// Waits for a step of connecting. When there has been no connection for too long, the queue is emptied.
    async fn within_outage<T>(
        &mut self,
        handler: &dyn Handler,
        give_up: Instant,
        step: impl Future<Output = Result<T, Lost>>,
    ) -> Result<T, Lost> {
        let step = tokio::time::timeout(CONNECT_TIMEOUT, step);
        tokio::pin!(step);
        if self.shared.accepts.load(Ordering::Relaxed) {
            tokio::select! {
                biased;
                done = &mut step => return done.unwrap_or(Err(Lost::Silent(CONNECT_TIMEOUT))),
                () = tokio::time::sleep_until(give_up.into()) => {}
            }
            self.shared.accepts.store(false, Ordering::Release);
            let dropped = self.queue.clear();
            self.shared.lost.fetch_or(dropped > 0, Ordering::Relaxed);
            let outage = self.shared.options.max_outage;
            tracing::warn!(target: log_target::CLUSTER, ?outage, dropped, "no connection to NATS for long: messages are dropped");
            handler.gave_up();
        }
        step.await.unwrap_or(Err(Lost::Silent(CONNECT_TIMEOUT)))
    }

    /// Uses a connection until it is lost, or until the queue has been sent after the handle was closed.
    async fn serve(
        &mut self,
        address: &ServerAddress,
        dialed: Dialed,
        handler: &dyn Handler,
        was_up: &AtomicBool,
    ) -> Result<(), Lost> {
        let shared = &*self.shared;
        let max_payload = dialed.info.max_payload;
        shared.max_payload.store(max_payload, Ordering::Relaxed);
        shared.pongs_due.store(0, Ordering::Relaxed);
        shared.number.fetch_add(1, Ordering::AcqRel);
        for url in &dialed.info.connect_urls {
            learn(&mut self.learned, &shared.options.servers, url, address);
        }
        let (stream, writer) = tokio::io::split(dialed.stream);
        let heard = AtomicBool::new(true);
        let up = || {
            if !was_up.swap(true, Ordering::Relaxed) {
                shared.accepts.store(true, Ordering::Release);
                shared.up.store(true, Ordering::Release);
                shared.health.set(Health::Up);
                tracing::info!(target: log_target::CLUSTER, %address, "connected to NATS");
                handler.connected();
            }
        };
        let reader = Reader {
            shared,
            stream,
            parser: dialed.parser,
            buffer: dialed.buffer,
            handler,
            heard: &heard,
        };
        tokio::select! {
            lost = reader.run(up) => Err(lost),
            written = write(shared, &mut self.queue, writer, &heard) => written,
        }
    }
}

/// Guard that reports the end of the task.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.up.store(false, Ordering::Release);
        self.0.accepts.store(false, Ordering::Release);
        self.0.queue.close();
        self.0.ended.notify_waiters();
    }
}

/// Reading side.
struct Reader<'a> {
    shared: &'a Shared,
    stream: ReadHalf<Box<dyn Io>>,
    parser: Parser,
    buffer: BytesMut,
    handler: &'a dyn Handler,
    heard: &'a AtomicBool,
}

impl Reader<'_> {
    async fn run(mut self, up: impl Fn()) -> Lost {
        loop {
            // What one read brought is handled together, in turns between which the other side can write.
            loop {
                let handler = self.handler;
                let mut turn = Ok(true);
                handler.batch(&mut || turn = self.turn(&up));
                match turn {
                    Ok(true) => tokio::task::yield_now().await,
                    Ok(false) => break,
                    Err(lost) => return lost,
                }
            }
            if self.buffer.capacity() - self.buffer.len() < READ_BYTES / 2 {
                self.buffer.reserve(READ_BYTES);
            }
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) => return Lost::Closed,
                Ok(_) => self.heard.store(true, Ordering::Relaxed),
                Err(error) => return error.into(),
            }
        }
    }

    /// Handles some of the operations that have been read; returns whether there may be more.
    fn turn(&mut self, up: &impl Fn()) -> Result<bool, Lost> {
        for _ in 0..MAX_TURN_OPERATIONS {
            match self.parser.next(&mut self.buffer)? {
                Some(operation) => self.handle(operation, up)?,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    fn handle(&self, operation: Operation, up: &impl Fn()) -> Result<(), Lost> {
        let shared = self.shared;
        match operation {
            Operation::Message(message) => shared.dispatch(message, self.handler),
            Operation::Ping => {
                shared.pongs_due.fetch_add(1, Ordering::Relaxed);
                shared.changed.notify_one();
            }
            // The first answer also says that the server has processed the subscriptions.
            Operation::Pong => {
                up();
                shared.answered();
            }
            Operation::Info(info) if info.ldm => return Err(Lost::Stopping),
            Operation::Info(_) | Operation::Ok => {}
            Operation::Error(error) if error.starts_with("Permissions Violation") => {
                tracing::error!(target: log_target::CLUSTER, %error, "NATS does not permit what a node needs");
                shared.health.set(Health::degraded(error));
            }
            Operation::Error(error) => return Err(Lost::Server(error)),
        }
        Ok(())
    }
}

impl Shared {
    /// Appends a ping; `waiting` is notified of its answer.
    fn ping(&self, out: &mut Vec<u8>, waiting: Option<oneshot::Sender<()>>) {
        let mut pings = self.pings.lock();
        pings.sent += 1;
        let number = pings.sent;
        pings
            .waiting
            .extend(waiting.map(|waiting| (number, waiting)));
        out.extend_from_slice(b"PING\r\n");
    }

    /// Records the answer to a ping: they come in order.
    fn answered(&self) {
        let mut pings = self.pings.lock();
        pings.answered += 1;
        while let Some((number, waiting)) = pings.waiting.pop_front() {
            if number > pings.answered {
                pings.waiting.push_front((number, waiting));
                return;
            }
            let _ = waiting.send(());
        }
    }
}

async fn write(
    shared: &Shared,
    queue: &mut QueueReader<Frame>,
    mut stream: WriteHalf<Box<dyn Io>>,
    heard: &AtomicBool,
) -> Result<(), Lost> {
    let (mut out, mut batch) = (Vec::new(), Vec::new());
    shared.subscriptions.lock().write_all(&mut out);
    shared.ping(&mut out, None);
    let mut pings = tokio::time::interval(PING_INTERVAL);
    pings.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    pings.tick().await;
    let (mut silent, mut closed) = (0, false);
    loop {
        send(&mut stream, &mut out).await?;
        if closed {
            return Ok(());
        }
        tokio::select! {
            () = shared.changed.notified() => {}
            () = subscriptions_end(shared) => {}
            _ = pings.tick() => {
                silent = if heard.swap(false, Ordering::Relaxed) { 0 } else { silent + 1 };
                if silent >= MAX_SILENT_INTERVALS {
                    return Err(Lost::Silent(PING_INTERVAL * silent));
                }
                shared.ping(&mut out, None);
            }
            count = queue.next_batch(&mut batch, BATCH) => closed = count == 0,
        }
        // Before the messages: a room is subscribed before this node sends requests about it.
        shared.subscriptions.lock().write_changes(&mut out);
        for _ in 0..shared.pongs_due.swap(0, Ordering::Relaxed) {
            out.extend_from_slice(b"PONG\r\n");
        }
        let number = shared.number.load(Ordering::Acquire);
        for frame in batch.drain(..) {
            let Frame {
                bytes,
                connection,
                flush,
            } = frame;
            if let Some(waiting) = flush {
                shared.ping(&mut out, Some(waiting));
                continue;
            }
            if connection.is_some_and(|only| only != number) {
                continue;
            }
            if bytes.len() < SEPARATE_WRITE_BYTES {
                out.extend_from_slice(&bytes);
            } else {
                send(&mut stream, &mut out).await?;
                within(stream.write_all(&bytes)).await?;
            }
        }
    }
}

/// Waits until subscriptions without users end.
async fn subscriptions_end(shared: &Shared) {
    let next = shared.subscriptions.lock().poll_timeout();
    match next {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
    shared.subscriptions.lock().handle_timeout(Instant::now());
}

/// Writes the collected data.
async fn send(stream: &mut WriteHalf<Box<dyn Io>>, out: &mut Vec<u8>) -> Result<(), Lost> {
    let written = async {
        stream.write_all(out).await?;
        stream.flush().await
    };
    within(written).await?;
    out.clear();
    out.shrink_to(KEPT_BUFFER_BYTES);
    Ok(())
}

async fn within(written: impl Future<Output = std::io::Result<()>>) -> Result<(), Lost> {
    match tokio::time::timeout(WRITE_TIMEOUT, written).await {
        Ok(written) => Ok(written?),
        Err(_) => Err(Lost::Silent(WRITE_TIMEOUT)),
    }
}

/// Stores a server of the cluster that the current one has named.
fn learn(
    learned: &mut Vec<ServerAddress>,
    known: &[ServerAddress],
    url: &str,
    like: &ServerAddress,
) {
    let Some(address) = like.sibling(url) else {
        return;
    };
    let mut all = known.iter().chain(learned.iter());
    let is_known = all.any(|known| (&known.host, known.port) == (&address.host, address.port));
    if !is_known && learned.len() < MAX_LEARNED {
        learned.push(address);
    }
}
