//! Connections under a scheduler that tries many orders of the threads' steps. A lost wakeup is a deadlock, which the
//! scheduler reports; what the peer reads is compared with what was sent.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use fanfare_protocol::engine::session::{Actions, SessionConfig};
use fanfare_websocket::frame;
use shuttle::sync::atomic::{AtomicUsize, Ordering};
use shuttle::{future, thread};

use super::model::{OwnedWriteHalf, Socket};
use crate::batch::batch;
use crate::broadcast::{BroadcastOptions, broadcast};
use crate::config::EngineConfig;
use crate::connection::{CloseMode, Connection, EngineContext};
use crate::deadline_queue::DeadlineQueue;
use crate::encoded_message::EncodedMessage;
use crate::error::SendError;
use crate::flags::Flags;
use crate::handshake::HandshakeRequest;
use crate::outbox::Sink;
use crate::service::{IfEarly, take_get};
use crate::sid::Sid;
use fanfare_protocol::engine::{CloseReason, Protocol, Transport};

/// Number of orders that each test tries: random ones, and ones with few preemptions at the worst points.
const TRIES: usize = 800;
const PREEMPTIONS: usize = 3;

/// Replaces the engine.
struct Server {
    config: EngineConfig,
    times: SessionConfig,
    deadlines: DeadlineQueue,
    closed: AtomicUsize,
}

impl EngineContext<()> for Server {
    fn config(&self) -> &EngineConfig {
        &self.config
    }

    fn times(&self) -> &SessionConfig {
        &self.times
    }

    fn deadlines(&self) -> &DeadlineQueue {
        &self.deadlines
    }

    fn closed(&self, _: &Arc<Connection<()>>, _: bool) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }

    fn report(&self, _: &Arc<Connection<()>>) {}
}

impl Server {
    fn new(outbox_bytes: usize) -> Arc<Server> {
        let mut config = EngineConfig::default();
        config.limits.outbox_bytes = outbox_bytes;
        Arc::new(Server {
            config,
            times: SessionConfig::default(),
            deadlines: DeadlineQueue::new(Duration::from_secs(20)),
            closed: AtomicUsize::new(0),
        })
    }
}

fn opened(server: &Arc<Server>, transport: Transport) -> Arc<Connection<()>> {
    let conn = Arc::new(Connection::new(
        server.clone(),
        0,
        Sid::random(|random| random).expect("random numbers"),
        (Protocol::V4, transport),
        HandshakeRequest::new(&http::Request::new(())),
        (),
    ));
    let _ = conn.leave();
    conn
}

/// Makes a WebSocket connection whose stream is not attached yet.
fn connection(server: &Arc<Server>) -> Arc<Connection<()>> {
    opened(server, Transport::WebSocket)
}

/// A WebSocket connection with its task.
struct World {
    server: Arc<Server>,
    conn: Arc<Connection<()>>,
    socket: Arc<Socket>,
    task: future::JoinHandle<()>,
}

impl World {
    /// Makes a world whose socket takes `room` bytes before the peer reads.
    fn new(room: usize, outbox_bytes: usize) -> World {
        World::with(room, outbox_bytes, false)
    }

    /// Makes a world. `own`: only the task writes to the stream, as over TLS.
    fn with(room: usize, outbox_bytes: usize, own: bool) -> World {
        let server = Server::new(outbox_bytes);
        let conn = connection(&server);
        let socket = Socket::new(room);
        let attached = Arc::new(AtomicUsize::new(0));
        let task = future::spawn(task(conn.clone(), socket.clone(), attached.clone(), own));
        while attached.load(Ordering::SeqCst) == 0 {
            thread::yield_now();
        }
        World {
            server,
            conn,
            socket,
            task,
        }
    }

    /// Spawns the peer, which reads until it has this number of messages.
    fn peer(&self, messages: usize) -> thread::JoinHandle<Vec<String>> {
        let socket = self.socket.clone();
        thread::spawn(move || {
            let (mut bytes, mut got) = (Vec::new(), Vec::new());
            while got.len() < messages {
                match socket.read() {
                    Some(data) => bytes.extend(data),
                    None => break,
                }
                got.extend(whole_frames(&mut bytes));
            }
            got
        })
    }

    /// Spawns another thread that acts on the connection.
    fn thread(
        &self,
        f: impl FnOnce(&Arc<Connection<()>>) + Send + 'static,
    ) -> thread::JoinHandle<()> {
        let conn = self.conn.clone();
        thread::spawn(move || f(&conn))
    }

    fn end(self) {
        self.conn
            .close(CloseMode::Discard, CloseReason::ForcedClose);
        future::block_on(self.task).expect("the task ends");
        assert_eq!(self.server.closed.load(Ordering::SeqCst), 1, "closed once");
    }
}

/// Takes the whole frames.
fn whole_frames(bytes: &mut Vec<u8>) -> Vec<String> {
    let mut all = Vec::new();
    while let Some((_, payload, total)) = frame::parse_unmasked(bytes) {
        all.push(String::from_utf8_lossy(&bytes[payload]).into_owned());
        bytes.drain(..total);
    }
    all
}

/// Acts as the task of a WebSocket as `Reader` does, for a peer that sends nothing.
async fn task(
    conn: Arc<Connection<()>>,
    socket: Arc<Socket>,
    attached: Arc<AtomicUsize>,
    own: bool,
) {
    let mut stream = own.then(|| OwnedWriteHalf(socket.clone()));
    poll_fn(|cx| {
        if attached.load(Ordering::SeqCst) == 0 {
            let mut inner = conn.inner.lock();
            inner.outbox.task = Some(cx.waker().clone());
            inner.outbox.sink = match own {
                true => Sink::Task,
                false => Sink::Tcp(OwnedWriteHalf(socket.clone())),
            };
            attached.store(1, Ordering::SeqCst);
        }
        if conn.flags.has(Flags::BLOCKED) {
            conn.flags.clear(Flags::BLOCKED);
            let written = match &stream {
                Some(stream) => conn.poll_write_queue(|data| poll_write(stream, cx, data)),
                None => Poll::Ready(Ok(())),
            };
            match written {
                Poll::Pending => {
                    conn.flags.set(Flags::BLOCKED);
                }
                Poll::Ready(result) => {
                    result.expect("the stream is open");
                    conn.resume();
                }
            }
        }
        if conn.flags.has(Flags::CLOSED) {
            stream = None;
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

/// As a stream of tokio.
fn poll_write(
    stream: &OwnedWriteHalf,
    cx: &mut Context<'_>,
    data: &[u8],
) -> Poll<io::Result<usize>> {
    loop {
        match stream.try_write(data) {
            Err(_) => ready!(stream.as_ref().poll_write_ready(cx))?,
            written => return Poll::Ready(written),
        }
    }
}

fn check(test: impl Fn() + Send + Sync + 'static) {
    let test = Arc::new(test);
    let again = test.clone();
    shuttle::check_random(move || again(), TRIES);
    shuttle::check_pct(move || test(), TRIES, PREEMPTIONS);
}

fn send(conn: &Arc<Connection<()>>, text: &str) {
    conn.send(&EncodedMessage::text(text))
        .expect("there is room");
}

/// Returns the messages of one sender, in the order in which they arrived.
fn of<'a>(got: &'a [String], sender: &str) -> Vec<&'a str> {
    let all = got.iter().filter_map(|text| text.strip_prefix('4'));
    all.filter(|text| text.starts_with(sender)).collect()
}

/// Writing at once, blocking and continuing later: everything arrives, once, in order.
#[test]
fn two_threads_and_a_socket_that_blocks() {
    check(|| {
        let world = World::new(3, 1000);
        let peer = world.peer(5);
        let a = world.thread(|conn| ["a0", "a1", "a2"].iter().for_each(|text| send(conn, text)));
        let b = world.thread(|conn| ["b0", "b1"].iter().for_each(|text| send(conn, text)));
        let got = peer.join().expect("the peer");
        assert_eq!(of(&got, "a"), ["a0", "a1", "a2"]);
        assert_eq!(of(&got, "b"), ["b0", "b1"]);
        a.join().and(b.join()).expect("the senders");
        world.end();
    });
}

/// A volatile message is written or dropped, also if another thread blocks the socket at the same time.
#[test]
fn a_volatile_message_does_not_wait_behind_another_one() {
    check(|| {
        // Space for the volatile message or for a part of the other one.
        let world = World::new(6, 1000);
        let sent = Arc::new(AtomicUsize::new(0));
        let was_sent = sent.clone();
        let volatile = world.thread(move |conn| {
            let message = EncodedMessage::text("v0");
            let result = conn
                .send_volatile(&message)
                .expect("the connection is open");
            was_sent.store(usize::from(result), Ordering::SeqCst);
        });
        let other = world.thread(|conn| send(conn, "o0123456789"));
        volatile.join().and(other.join()).expect("the senders");
        let sent = sent.load(Ordering::SeqCst);
        let got = world.peer(1 + sent).join().expect("the peer");
        let first = if sent == 1 { "4v0" } else { "4o0123456789" };
        assert_eq!(got[0], first, "{got:?}");
        world.end();
    });
}

/// A batch holds back what another thread sends behind it; nothing is overtaken, nothing is left behind.
#[test]
fn a_batch_and_a_thread_without_one() {
    check(|| {
        let world = World::new(6, 1000);
        let peer = world.peer(5);
        let a = world.thread(|conn| {
            batch(|| {
                send(conn, "a0");
                send(conn, "a1");
            });
            send(conn, "a2");
        });
        let b = world.thread(|conn| {
            send(conn, "b0");
            batch(|| send(conn, "b1"));
        });
        let got = peer.join().expect("the peer");
        assert_eq!(of(&got, "a"), ["a0", "a1", "a2"]);
        assert_eq!(of(&got, "b"), ["b0", "b1"]);
        a.join().and(b.join()).expect("the senders");
        world.end();
    });
}

/// Over TLS only the task writes: it is notified of everything that there is to write.
#[test]
fn two_threads_and_a_stream_of_the_tasks_own() {
    check(|| {
        let world = World::with(6, 1000, true);
        let peer = world.peer(5);
        let ping = world.thread(|conn| {
            conn.drive(|inner| {
                inner
                    .outbox
                    .push_urgent(Bytes::from_static(b"\x81\x012"), 1);
                ((), Actions::FLUSH)
            });
        });
        let a = world.thread(|conn| ["a0", "a1"].iter().for_each(|text| send(conn, text)));
        let b =
            world.thread(|conn| batch(|| ["b0", "b1"].iter().for_each(|text| send(conn, text))));
        let got = peer.join().expect("the peer");
        assert_eq!(of(&got, "a"), ["a0", "a1"]);
        assert_eq!(of(&got, "b"), ["b0", "b1"]);
        assert!(got.iter().any(|text| text == "2"), "{got:?}");
        a.join()
            .and(b.join())
            .and(ping.join())
            .expect("the senders");
        world.end();
    });
}

/// Two batches that both send to the connection.
#[test]
fn two_batches() {
    check(|| {
        let world = World::new(5, 1000);
        let peer = world.peer(4);
        let batched = |first: &'static str, second: &'static str| {
            world.thread(move |conn| {
                batch(|| {
                    send(conn, first);
                    send(conn, second);
                });
            })
        };
        let (a, b) = (batched("a0", "a1"), batched("b0", "b1"));
        let got = peer.join().expect("the peer");
        assert_eq!(of(&got, "a"), ["a0", "a1"]);
        assert_eq!(of(&got, "b"), ["b0", "b1"]);
        a.join().and(b.join()).expect("the senders");
        world.end();
    });
}

/// A task that waits for space is woken; what was sent before a close arrives before it, and what came too late is
/// rejected.
#[test]
fn waiting_for_room_and_closing() {
    check(|| {
        // Two messages of five bytes, and half of that is free when the waiting task is woken.
        let world = World::new(2, 10);
        let peer = world.peer(usize::MAX);
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        let conn = world.conn.clone();
        let sender = thread::spawn(move || {
            for text in ["a0", "a1", "a2"] {
                future::block_on(conn.ready()).expect("it is open");
                send(&conn, text);
                count.fetch_add(1, Ordering::SeqCst);
            }
            conn.close(CloseMode::Flush, CloseReason::ForcedClose);
            assert_eq!(
                conn.send(&EncodedMessage::text("late")),
                Err(SendError::Closed)
            );
        });
        let got = peer.join().expect("the peer");
        sender.join().expect("the sender");
        assert_eq!(of(&got, "a"), ["a0", "a1", "a2"]);
        future::block_on(world.task).expect("the task ends");
        assert_eq!(world.server.closed.load(Ordering::SeqCst), 1, "closed once");
        assert_eq!(taken.load(Ordering::SeqCst), 3);
    });
}

/// Messages that all recipients share until something follows them: the same for each recipient, once, in order.
#[test]
fn broadcasts_that_share_a_run() {
    check(|| {
        let world = World::new(20, 1000);
        let peer = world.peer(5);
        // Enough recipients for a shared segment; the others are never written to.
        let others: Vec<_> = (0..8).map(|_| connection(&world.server)).collect();
        let targets: Arc<[_]> = others.iter().chain([&world.conn]).cloned().collect();
        let batched = |texts: [&'static str; 2]| {
            let targets = targets.clone();
            thread::spawn(move || {
                batch(|| {
                    for text in texts {
                        let message = EncodedMessage::text(text);
                        broadcast(&targets, &message, BroadcastOptions::default(), None);
                    }
                });
            })
        };
        let (a, b) = (batched(["a0", "a1"]), batched(["b0", "b1"]));
        let alone = world.thread(|conn| send(conn, "c0"));
        let got = peer.join().expect("the peer");
        a.join()
            .and(b.join())
            .and(alone.join())
            .expect("the senders");
        assert_eq!(of(&got, "a"), ["a0", "a1"]);
        assert_eq!(of(&got, "b"), ["b0", "b1"]);
        assert_eq!(of(&got, "c"), ["c0"]);
        for conn in &others {
            let entries = conn.inner.lock().outbox.take();
            let bytes: Vec<u8> = entries.flat_map(|entry| entry.frames).collect();
            let queued = whole_frames(&mut bytes.clone());
            assert_eq!(queued.len(), 4, "{queued:?}");
            assert_eq!(of(&queued, "a"), ["a0", "a1"]);
            assert_eq!(of(&queued, "b"), ["b0", "b1"]);
        }
        world.end();
    });
}

/// Of two simultaneous GETs one is accepted. The other waits, because the first may be a loss not yet noticed; it is
/// not rejected at once as an overlap.
#[test]
fn two_gets_at_the_same_moment() {
    check(|| {
        let conn = opened(&Server::new(1000), Transport::Polling);
        let get = || {
            let conn = conn.clone();
            thread::spawn(move || take_get(&conn, IfEarly::Wait))
        };
        let gets = [get(), get()].map(|get| get.join().expect("a GET"));
        let taken = gets.iter().filter(|get| matches!(get, Some(Ok(()))));
        let waiting = gets.iter().filter(|get| get.is_none());
        assert_eq!((taken.count(), waiting.count()), (1, 1), "{gets:?}");
    });
}
