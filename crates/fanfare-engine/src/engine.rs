//! The engine: its connections and its options.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use fanfare_protocol::engine::Open;
use fanfare_protocol::engine::session::{Actions, SessionConfig};
use fanfare_websocket::{OpCode, frame};
use tokio::runtime::Handle;

use crate::batch::batch;
use crate::connection::Host;
use crate::forms::Forms;
use crate::sid::Sid;
use crate::table::Table;
use crate::wheel::Wheel;
use crate::{
    CloseMode, CloseReason, Config, Connection, EngineService, Handler, Handshake, Occasionally,
    Protocol, Transport,
};

/// An Engine.IO server: the connections and what they have in common.
pub struct Engine<H: Handler> {
    pub(crate) handler: H,
    pub(crate) config: Config,
    times: SessionConfig,
    table: Table<H::State>,
    wheel: Arc<Wheel>,
    /// Set by the first request: an engine may be made before the runtime.
    runtime: OnceLock<Handle>,
    closed: AtomicBool,
    /// For what each request may cause.
    log: Occasionally,
}

impl<H: Handler> Engine<H> {
    /// Makes an engine. Its service must be called within a tokio runtime with time and I/O enabled.
    pub fn new(handler: H, mut config: Config) -> Arc<Engine<H>> {
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
            wheel: Arc::new(Wheel::new(shortest)),
            runtime: OnceLock::new(),
            closed: AtomicBool::new(false),
            log: Occasionally::every(Duration::from_secs(10)),
        })
    }

    /// The layer above.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The options.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The tower service that answers requests.
    pub fn service(self: &Arc<Self>) -> EngineService<H> {
        EngineService::new(self.clone())
    }

    /// How many connections are open (Node's `clientsCount`).
    pub fn connections(&self) -> usize {
        self.table.len()
    }

    /// Calls `f` with every open connection. Those that come or go meanwhile may be missed.
    pub fn for_each(&self, mut f: impl FnMut(&Arc<Connection<H::State>>)) {
        let mut shard = 0;
        while let Some(conns) = self.table.snapshot(shard) {
            conns.iter().for_each(&mut f);
            shard += 1;
        }
    }

    /// As [`for_each`](Engine::for_each) with one part of the connections, for work that is to be spread over time.
    /// `false`: that was the last part, or there is none of this number.
    pub fn for_each_of(&self, part: usize, f: impl FnMut(&Arc<Connection<H::State>>)) -> bool {
        let Some(conns) = self.table.snapshot(part) else {
            return false;
        };
        conns.iter().for_each(f);
        true
    }

    /// Closes every connection at once, as Node's `engine.close()`: what is queued is thrown away, waiting GETs get a
    /// `close` packet, WebSockets a close frame. Their reason is `forced close`.
    ///
    /// New handshakes are taken afterwards as before; stopping the listener is its owner's business.
    pub fn close(&self) {
        self.for_each(|conn| conn.close(CloseMode::Discard, CloseReason::ForcedClose));
    }

    /// Refuses new sessions with 503 from now on; those that are open live on. For a graceful shutdown.
    pub fn refuse_new(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// A request could not be served as it should be. Logged now and then, for clients decide how often it happens.
    pub(crate) fn complain(&self, what: &str, why: &str) {
        match self.log.say(Instant::now()) {
            Some(times) => tracing::warn!(why, times, "{what}"),
            None => tracing::debug!(why, "{what}"),
        }
    }

    /// Whether new sessions are taken.
    pub(crate) fn takes_new(&self) -> bool {
        !self.closed.load(Ordering::Relaxed)
            && self.table.len() < self.config.limits.max_connections
    }

    pub(crate) fn find(&self, sid: &str) -> Option<Arc<Connection<H::State>>> {
        self.table.get(&Sid::sent(sid)?)
    }

    /// The runtime that requests come in on. The first call starts the timer.
    pub(crate) fn runtime(self: &Arc<Self>) -> &Handle {
        self.runtime.get_or_init(|| {
            let handle = Handle::current();
            handle.spawn(run_wheel(self.wheel.clone(), Arc::downgrade(self)));
            handle
        })
    }

    /// Opens a session: makes the connection, queues its `open` packet behind `head`, an answer to HTTP that is still to
    /// be written. The caller attaches a transport, then calls [`opened`](Engine::opened).
    pub(crate) fn open(
        self: &Arc<Self>,
        handshake: Handshake,
        protocol: Protocol,
        transport: Transport,
        sid: Option<Sid>,
        head: Vec<u8>,
    ) -> Result<Arc<Connection<H::State>>, OpenError> {
        self.runtime();
        // A copy for the report, should somebody else have the id that the application made.
        let refused = sid.is_some().then(|| Box::new(handshake.clone()));
        let sid = match sid {
            Some(sid) => sid,
            None => match Sid::random() {
                Ok(sid) => sid,
                Err(error) => {
                    tracing::error!(%error, "no random numbers for a session id");
                    return Err(OpenError(Some(Box::new(handshake)), "no random numbers"));
                }
            },
        };
        let state = self.handler.accept(&handshake);
        let host: Arc<dyn Host<H::State>> = self.clone();
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
            return Err(OpenError(refused, "an open session has this id"));
        };
        let upgrades = transport == Transport::Polling
            && self.config.allow_upgrades
            && self.config.transports.websocket;
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
            let mut forms = Forms::new(initial, true);
            let frames = forms.source(&*conn).into_bytes();
            inner.outbox.push(frames, initial.packets);
        }
        inner.outbox.compress = true;
        conn.reschedule(&mut inner);
        drop(inner);
        Ok(conn)
    }

    /// Tells the handler of a connection that was made [`BUSY`](crate::flags::Flags::BUSY).
    pub(crate) fn opened(&self, conn: &Arc<Connection<H::State>>) {
        let _busy = Busy { engine: self, conn };
        batch(|| self.handler.open(conn));
        // The `open` packet itself, if the handler sent nothing.
        conn.drive(|_| ((), Actions::FLUSH));
    }

    /// Takes the right to call the handler for this connection. `None`: somebody else has it, or all is over.
    #[inline]
    pub(crate) fn enter<'a>(&'a self, conn: &'a Arc<Connection<H::State>>) -> Option<Busy<'a, H>> {
        // Lazily: a `Busy` that nobody needs would give back a right that somebody else has.
        conn.enter().then(|| Busy { engine: self, conn })
    }

    fn report_close(&self, conn: &Arc<Connection<H::State>>) {
        let reason = conn.inner.lock().session.reason();
        tracing::trace!(?conn, %reason, "closed");
        batch(|| self.handler.close(conn, reason));
    }
}

/// Why a session was not opened, and its request.
#[derive(Debug)]
pub(crate) struct OpenError(pub(crate) Option<Box<Handshake>>, pub(crate) &'static str);

/// The right to call the handler for a connection. A close that happened meanwhile is reported at its end.
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

impl<H: Handler> Host<H::State> for Engine<H> {
    fn config(&self) -> &Config {
        &self.config
    }

    fn times(&self) -> &SessionConfig {
        &self.times
    }

    fn wheel(&self) -> &Wheel {
        &self.wheel
    }

    fn closed(&self, conn: &Arc<Connection<H::State>>, report: bool) {
        self.table.remove(&conn.sid);
        if report && let Some(runtime) = self.runtime.get() {
            let conn = conn.clone();
            runtime.spawn(async move { conn.host.clone().report(&conn) });
        }
    }

    fn report(&self, conn: &Arc<Connection<H::State>>) {
        self.report_close(conn);
    }
}

impl<H: Handler> Drop for Engine<H> {
    fn drop(&mut self) {
        self.wheel.wake();
    }
}

impl<H: Handler> fmt::Debug for Engine<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// Looks at each connection when it wants it: heartbeats, upgrades, closes, deadlines.
async fn run_wheel<H: Handler>(wheel: Arc<Wheel>, engine: Weak<Engine<H>>) {
    loop {
        // Not held while sleeping: the engine ends when its users are done with it.
        let Some(strong) = engine.upgrade() else {
            return;
        };
        match wheel.take_due(Instant::now()) {
            Ok((tick, indices)) => look_at(&strong, tick, indices).await,
            Err(next) => {
                drop(strong);
                match next {
                    Some(at) => tokio::select! {
                        () = wheel.sooner() => {}
                        () = tokio::time::sleep_until(at.into()) => {}
                    },
                    None => wheel.sooner().await,
                }
            }
        }
    }
}

async fn look_at<H: Handler>(engine: &Arc<Engine<H>>, tick: u64, indices: Vec<u32>) {
    let now = Instant::now();
    for (n, index) in indices.into_iter().enumerate() {
        if let Some(conn) = engine.table.at(index)
            && conn.tick(tick, now)
        {
            if let Some(_busy) = engine.enter(&conn) {
                batch(|| engine.handler.deadline(&conn));
            } else if conn.is_open() {
                // Its handler is at work: the next tick will do.
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

        fn accept(&self, _: &Handshake) {}
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
        // Connections are under the scheduler in these tests; this one has only one thread.
        shuttle::check_random(
            move || {
                let _runtime = runtime.enter();
                only_one_at_a_time();
            },
            1,
        );
    }

    fn only_one_at_a_time() {
        let engine = Engine::new(Nothing, Config::default());
        let handshake = Handshake::new(&http::Request::new(()));
        let conn = engine
            .open(
                handshake,
                Protocol::V4,
                Transport::Polling,
                None,
                Vec::new(),
            )
            .unwrap();
        // Whoever opens a connection has the right first; asking in vain takes it from nobody.
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
