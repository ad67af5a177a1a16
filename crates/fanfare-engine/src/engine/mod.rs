//! The engine: its connections and its options.

mod calls;

use std::fmt;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use fanfare_protocol::diagnostics::LogThrottle;
use fanfare_protocol::engine::Open;
use fanfare_protocol::engine::session::{Actions, SessionConfig};
use fanfare_websocket::{OpCode, frame};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use crate::batch::batch;
use crate::clock;
use crate::config::EngineConfig;
use crate::connection::{CloseMode, Connection, EngineContext};
use crate::deadline_queue::DeadlineQueue;
use crate::encodings::Encodings;
use crate::error::SendError;
use crate::flags::Flags;
use crate::handler::Handler;
use crate::handshake::HandshakeRequest;
use crate::log_target;
use crate::sid::{SESSION_ID_BYTES, Sid};
use crate::table::Table;
use fanfare_protocol::engine::{CloseReason, Protocol, Transport};

/// An Engine.IO server: its connections and their common state.
pub struct Engine<H: Handler> {
    pub(crate) handler: H,
    pub(crate) config: EngineConfig,
    times: SessionConfig,
    table: Table<H::State>,
    deadlines: Arc<DeadlineQueue>,
    /// Runtime of the connections, set by the first request: an engine may be made before the runtime.
    runtime: OnceLock<Handle>,
    closed: AtomicBool,
    /// Number of closed connections that have still to be reported to the handler.
    unreported: AtomicUsize,
    reported: Notify,
    /// Throttle for warnings that each request may cause.
    log: LogThrottle,
    burst_log: LogThrottle,
}

impl<H: Handler> Engine<H> {
    /// Creates an engine. Its service must be called within a tokio runtime with time and I/O enabled.
    pub fn new(handler: H, mut config: EngineConfig) -> Arc<Engine<H>> {
        config.normalise_path();
        let times = SessionConfig {
            ping_interval: config.ping_interval,
            ping_timeout: config.ping_timeout,
            upgrade_timeout: config.limits.upgrade_timeout,
            close_timeout: config.close_timeout,
            ..SessionConfig::default()
        };
        let shortest = config
            .ping_interval
            .min(config.ping_timeout)
            .min(config.limits.upgrade_timeout);
        Arc::new(Engine {
            handler,
            config,
            times,
            table: Table::new(),
            deadlines: Arc::new(DeadlineQueue::new(shortest)),
            runtime: OnceLock::new(),
            closed: AtomicBool::new(false),
            unreported: AtomicUsize::new(0),
            reported: Notify::new(),
            log: LogThrottle::every(Duration::from_secs(10)),
            burst_log: LogThrottle::every(Duration::from_secs(10)),
        })
    }

    /// Handler of the layer above.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The options.
    pub fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// Number of open connections (Node's `clientsCount`).
    pub fn connections(&self) -> usize {
        self.table.len()
    }

    /// Calls `f` with every open connection. Connections that open or close meanwhile may be missed.
    pub fn for_each(&self, mut f: impl FnMut(&Arc<Connection<H::State>>)) {
        let mut shard = 0;
        while let Some(conns) = self.table.snapshot(shard) {
            conns.iter().for_each(&mut f);
            shard += 1;
        }
    }

    /// As [`for_each`](Engine::for_each) with one part of the connections, for work that is to be spread over time.
    /// `false`: that was the last part, or the number is out of range.
    pub fn for_each_of(&self, part: usize, f: impl FnMut(&Arc<Connection<H::State>>)) -> bool {
        let Some(conns) = self.table.snapshot(part) else {
            return false;
        };
        conns.iter().for_each(f);
        true
    }

    /// Closes every connection at once, as Node's `engine.close()`: queues are discarded, waiting GETs get a `close`
    /// packet, WebSockets a close frame. The reason is `forced close`.
    ///
    /// New handshakes are still accepted afterwards; the owner of the listener has to stop it.
    pub fn close(&self) {
        self.for_each(|conn| conn.close(CloseMode::Discard, CloseReason::ForcedClose));
    }

    /// Waits until every closed connection has been reported to the handler.
    ///
    /// # Cancel safety
    ///
    /// A dropped call has changed nothing.
    pub async fn reported(&self) {
        loop {
            let reported = self.reported.notified();
            if self.unreported.load(Ordering::Acquire) == 0 {
                return;
            }
            reported.await;
        }
    }

    /// Rejects new sessions with 503 from now on; open ones stay. For a graceful shutdown.
    pub fn reject_new(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Logs that a request could not be served correctly. Throttled, because clients decide how often it happens.
    pub(crate) fn warn_throttled(&self, what: &str, why: &str) {
        match self.log.hit(Instant::now()) {
            Some(times) => tracing::warn!(target: log_target::SESSION, why, times, "{what}"),
            None => tracing::debug!(target: log_target::SESSION, why, "{what}"),
        }
    }

    /// Whether new sessions are accepted.
    pub(crate) fn takes_new(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
            && self.table.len() < self.config.limits.max_connections
    }

    /// Makes a session id out of random bytes, by which other servers find this one if there is a relay.
    fn seal(&self, random: [u8; SESSION_ID_BYTES]) -> [u8; SESSION_ID_BYTES] {
        let Some(relay) = &self.config.relay else {
            return random;
        };
        // After a panic the session works as long as its requests come to this server.
        let sealed = self.contain("relay", || relay.session_id(random));
        sealed.unwrap_or(random)
    }

    pub(crate) fn find(&self, sid: &str) -> Option<Arc<Connection<H::State>>> {
        self.table.get(&Sid::sent(sid)?)
    }

    /// Returns the runtime that requests arrive on. The first call starts the timer.
    pub(crate) fn runtime(self: &Arc<Self>) -> &Handle {
        self.runtime.get_or_init(|| {
            let handle = Handle::current();
            handle.spawn(run_deadlines(self.deadlines.clone(), Arc::downgrade(self)));
            handle
        })
    }

    /// Opens a session: creates the connection and queues its `open` packet behind `head`, an HTTP response that is
    /// still to be written. The caller attaches a transport, then calls [`opened`](Engine::opened).
    pub(crate) fn open(
        self: &Arc<Self>,
        handshake: HandshakeRequest,
        protocol: Protocol,
        transport: Transport,
        sid: Option<Sid>,
        head: Vec<u8>,
    ) -> Result<Arc<Connection<H::State>>, OpenError> {
        self.runtime();
        // A copy for the report, in case an open session already has the id that the application made.
        let rejected = sid.is_some().then(|| Box::new(handshake.clone()));
        let sid = match sid {
            Some(sid) => sid,
            None => match Sid::random(|random| self.seal(random)) {
                Ok(sid) => sid,
                Err(error) => {
                    tracing::error!(target: log_target::SESSION, %error, "no random numbers for a session id");
                    return Err(OpenError(Some(Box::new(handshake)), "no random numbers"));
                }
            },
        };
        let state = self.handler.accept(&handshake);
        let host: Arc<dyn EngineContext<H::State>> = self.clone();
        let inserted = self.table.insert(&sid, |index| {
            Arc::new(Connection::new(
                host,
                index,
                sid.clone(),
                (protocol, transport),
                handshake,
                state,
            ))
        });
        let Some(conn) = inserted else {
            return Err(OpenError(rejected, "an open session has this id"));
        };
        let upgrades = transport == Transport::Polling
            && self.config.allow_upgrades
            && self.config.transports.contains(Transport::WebSocket);
        let open = Open {
            sid: sid.as_str(),
            upgrades: if upgrades { &["websocket"] } else { &[] },
            ping_interval: self.config.ping_interval,
            ping_timeout: self.config.ping_timeout,
            max_payload: self.config.limits.max_payload,
        };
        let mut out = head;
        let head = out.len();
        out.reserve(128);
        let start = frame::begin(&mut out);
        out.push(b'0');
        open.write_json(&mut out);
        frame::finish(&mut out, start, OpCode::Text);
        let mut inner = conn.inner.lock();
        inner.outbox.push_first(out.into(), head);
        if let Some(initial) = &self.config.initial_packet {
            let mut encodings = Encodings::new(initial, true);
            let frames = conn.encode(&mut encodings).into_bytes();
            inner.outbox.push(frames, initial.packets);
        }
        inner.outbox.compress = true;
        conn.reschedule(&mut inner);
        drop(inner);
        Ok(conn)
    }

    /// Announces a connection that was created [`BUSY`](crate::flags::Flags::BUSY) to the handler.
    pub(crate) fn opened(&self, conn: &Arc<Connection<H::State>>) {
        let _busy = Busy { engine: self, conn };
        let open = || batch(|| self.handler.open(conn));
        if self.contain("open", open).is_none() {
            conn.close(CloseMode::Discard, CloseReason::ForcedClose);
        }
        // The `open` packet itself, if the handler sent nothing.
        conn.drive(|_| ((), Actions::FLUSH));
    }

    /// Acquires the right to call the handler for this connection. `None`: another thread has it, or the session is
    /// over.
    #[inline]
    pub(crate) fn enter<'a>(&'a self, conn: &'a Arc<Connection<H::State>>) -> Option<Busy<'a, H>> {
        // Lazily: dropping an unneeded `Busy` would release a right that another thread holds.
        conn.enter().then(|| Busy { engine: self, conn })
    }

    /// Waits for the right that [`enter`](Engine::enter) acquires. `None`: the session is over.
    pub(crate) async fn entered<'a>(
        &'a self,
        conn: &'a Arc<Connection<H::State>>,
    ) -> Option<Busy<'a, H>> {
        poll_fn(|cx| {
            let busy = self.enter(conn);
            if busy.is_some() || conn.flags.has(Flags::CLOSED) {
                return Poll::Ready(busy);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await
    }

    fn report_close(&self, conn: &Arc<Connection<H::State>>) {
        let reason = conn.inner.lock().session.reason();
        tracing::trace!(target: log_target::SESSION, ?conn, %reason, "closed");
        let _told = Told(self);
        self.contain("close", || batch(|| self.handler.close(conn, reason)));
    }
}

/// Guard whose drop records that the close of a connection was reported to the handler, or that the handler panicked.
struct Told<'a, H: Handler>(&'a Engine<H>);

impl<H: Handler> Drop for Told<'_, H> {
    fn drop(&mut self) {
        if self.0.unreported.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.reported.notify_waiters();
        }
    }
}

/// Reason for which a session was not opened, with its request.
#[derive(Debug)]
pub(crate) struct OpenError(
    pub(crate) Option<Box<HandshakeRequest>>,
    pub(crate) &'static str,
);

/// The right to call the handler for a connection. Its end reports a close that happened meanwhile.
pub(crate) struct Busy<'a, H: Handler> {
    engine: &'a Engine<H>,
    conn: &'a Arc<Connection<H::State>>,
}

impl<H: Handler> Drop for Busy<'_, H> {
    fn drop(&mut self) {
        if self.conn.leave() {
            self.engine.report_close(self.conn);
        }
    }
}

impl<H: Handler> EngineContext<H::State> for Engine<H> {
    fn config(&self) -> &EngineConfig {
        &self.config
    }

    fn times(&self) -> &SessionConfig {
        &self.times
    }

    fn deadlines(&self) -> &DeadlineQueue {
        &self.deadlines
    }

    fn closed(&self, conn: &Arc<Connection<H::State>>, report: bool) {
        // Before it leaves the count of connections: a caller that sees none left waits for this.
        self.unreported.fetch_add(1, Ordering::AcqRel);
        self.table.remove(&conn.sid);
        if report && let Some(runtime) = self.runtime.get() {
            let conn = conn.clone();
            runtime.spawn(async move { conn.host.clone().report(&conn) });
        }
    }

    fn burst(&self, full: &SendError) {
        let what = "more is sent to a client before it can read than its outbox should hold";
        match self.burst_log.hit(Instant::now()) {
            Some(times) => tracing::warn!(target: log_target::SESSION, %full, times, "{what}"),
            None => tracing::debug!(target: log_target::SESSION, %full, "{what}"),
        }
    }

    fn report(&self, conn: &Arc<Connection<H::State>>) {
        self.report_close(conn);
    }
}

impl<H: Handler> Drop for Engine<H> {
    fn drop(&mut self) {
        self.deadlines.wake();
    }
}

impl<H: Handler> fmt::Debug for Engine<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// Checks each connection when its tick comes: heartbeats, upgrades, closes, deadlines.
async fn run_deadlines<H: Handler>(deadlines: Arc<DeadlineQueue>, engine: Weak<Engine<H>>) {
    loop {
        // Not held while sleeping: the engine ends when its users drop it.
        let Some(strong) = engine.upgrade() else {
            return;
        };
        match deadlines.take_due(clock::now()) {
            Ok((tick, indices)) => look_at(&strong, tick, indices).await,
            Err(next) => {
                drop(strong);
                match next {
                    Some(at) => tokio::select! {
                        () = deadlines.sooner() => {}
                        () = tokio::time::sleep_until(at.into()) => {}
                    },
                    None => deadlines.sooner().await,
                }
            }
        }
    }
}

async fn look_at<H: Handler>(engine: &Arc<Engine<H>>, tick: u64, indices: Vec<u32>) {
    let now = clock::now();
    for (n, index) in indices.into_iter().enumerate() {
        if let Some(conn) = engine.table.at(index)
            && conn.tick(tick, now)
        {
            if let Some(_busy) = engine.enter(&conn) {
                engine.contain("deadline", || batch(|| engine.handler.deadline(&conn)));
            } else if conn.is_open() {
                // The handler is busy with this connection: the next tick will do.
                conn.set_deadline(Some(now));
            }
        }
        if n % 128 == 127 {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Handler for Nothing {
        type State = ();

        fn accept(&self, _: &HandshakeRequest) {}
        fn open(&self, _: &Arc<Connection<()>>) {}
        fn text(&self, _: &Arc<Connection<()>>, _: &str) {}
        fn binary(&self, _: &Arc<Connection<()>>, _: &[u8]) {}
        fn close(&self, _: &Arc<Connection<()>>, _: fanfare_protocol::engine::CloseReason) {}
    }

    #[test]
    fn only_one_at_a_time_may_call_the_handler() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        // The scheduler of these tests runs connections; this one has only one thread.
        shuttle::check_random(
            move || {
                let _runtime = runtime.enter();
                only_one_at_a_time();
            },
            1,
        );
    }

    fn only_one_at_a_time() {
        let engine = Engine::new(Nothing, EngineConfig::default());
        let handshake = HandshakeRequest::new(&http::Request::new(()));
        let conn = engine
            .open(
                handshake,
                Protocol::V4,
                Transport::Polling,
                None,
                Vec::new(),
            )
            .unwrap();
        // The thread that opens a connection has the right first; a failed attempt takes it from no thread.
        for _ in 0..3 {
            assert!(engine.enter(&conn).is_none());
        }
        engine.opened(&conn);
        let one = engine.enter(&conn);
        assert!(one.is_some());
        assert!(engine.enter(&conn).is_none());
        assert!(engine.enter(&conn).is_none());
        drop(one);
        assert!(engine.enter(&conn).is_some());
    }
}
