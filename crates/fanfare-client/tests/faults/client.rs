//! Load and checks of the clients.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fanfare_client::event::SocketEvent;
use fanfare_client::options::SocketBuilder;
use fanfare_client::{AckError, Manager, Socket, Transport};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::support::{soon, until};

/// Time between two emits.
const PACE: Duration = Duration::from_millis(8);
/// Number of queued events in the queue of retries at which the client pauses.
const BACKLOG: usize = 50;

/// Outcome of the numbers that a client emitted: 1, 2, 3, …
#[derive(Default)]
pub(crate) struct Numbers {
    pub(crate) last: u64,
    pub(crate) acknowledged: HashSet<u64>,
    /// Numbers whose acknowledgement came too late, or that were withdrawn after waiting too long for a connection.
    pub(crate) late: HashSet<u64>,
}

pub(crate) struct Client {
    pub(crate) name: String,
    /// Whether every event is sent again until it is acknowledged.
    pub(crate) retries: bool,
    pub(crate) numbers: Arc<Mutex<Numbers>>,
    socket: Socket,
    listener: JoinHandle<()>,
    emitter: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

/// Starts one client per transport configuration, one whose events are retried, and two sockets that share a
/// connection.
pub(crate) fn start(port: u16, ticks: &Arc<AtomicU64>) -> Vec<Client> {
    use Transport::{Polling, WebSocket};
    let manager = |transports: &[Transport], upgrade: bool| {
        Manager::builder(format!("http://127.0.0.1:{port}"))
            .transports(transports.iter().copied())
            .upgrade(upgrade)
            .connect_timeout(Duration::from_millis(1500))
            .reconnection_delay(Duration::from_millis(10), Duration::from_millis(100))
            .build()
            .unwrap()
    };
    let client = |name: &str, builder: SocketBuilder, retries| {
        Client::start(name, builder, retries, ticks.clone())
    };
    let shared = manager(&[Polling, WebSocket], true);
    let retried = manager(&[WebSocket, Polling], false).socket("/");
    vec![
        client("websocket", manager(&[WebSocket], false).socket("/"), false),
        client("polling", manager(&[Polling], false).socket("/"), false),
        client(
            "fallback",
            manager(&[WebSocket, Polling], false).socket("/"),
            false,
        ),
        client("upgrade", shared.socket("/"), false),
        client("chat", shared.socket("/chat"), false),
        client(
            "retries",
            retried.retries(u32::MAX, Duration::from_millis(700)),
            true,
        ),
    ]
}

impl Client {
    fn start(name: &str, builder: SocketBuilder, retries: bool, ticks: Arc<AtomicU64>) -> Self {
        let socket = builder.build().unwrap();
        let listener = tokio::spawn(listen(socket.clone(), ticks));
        let (stop, stopped) = watch::channel(false);
        let numbers = Arc::<Mutex<Numbers>>::default();
        socket.connect();
        let emitter = tokio::spawn(emit(
            socket.clone(),
            name.to_owned(),
            retries,
            numbers.clone(),
            stopped,
        ));
        Self {
            name: name.to_owned(),
            retries,
            numbers,
            socket,
            listener,
            emitter,
            stop,
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.socket.is_connected()
    }

    /// Stops emitting, waits until everything is settled, and disconnects.
    pub(crate) async fn finish(self) -> (String, bool, Arc<Mutex<Numbers>>) {
        self.stop.send(true).unwrap();
        soon(self.emitter).await.unwrap();
        until(|| (self.socket.buffered().0, self.socket.pending_acks()) == (0, 0)).await;
        soon(self.socket.disconnect()).await;
        self.listener.abort();
        if let Err(error) = self.listener.await {
            assert!(error.is_cancelled(), "{error}");
        }
        (self.name, self.retries, self.numbers)
    }
}

async fn emit(
    socket: Socket,
    name: String,
    retries: bool,
    numbers: Arc<Mutex<Numbers>>,
    stop: watch::Receiver<bool>,
) {
    let mut waiting = JoinSet::new();
    let mut n = 0;
    while !*stop.borrow() {
        if retries && socket.buffered().0 >= BACKLOG {
            tokio::time::sleep(PACE).await;
            continue;
        }
        n += 1;
        if retries || n % 3 == 0 {
            socket.emit("number", (&name, n)).unwrap();
        } else {
            let timeout = Duration::from_millis(500 + n % 7 * 300);
            let request = socket
                .timeout(timeout)
                .emit_with_ack::<u64>("number", (&name, n));
            let numbers = numbers.clone();
            waiting.spawn(async move {
                match request.await {
                    Ok(answer) => {
                        assert_eq!(answer, n, "the answer to another question");
                        numbers.lock().acknowledged.insert(n);
                    }
                    Err(AckError::Timeout) => _ = numbers.lock().late.insert(n),
                    Err(AckError::Disconnected) => {}
                    Err(error) => panic!("{error}"),
                }
            });
        }
        numbers.lock().last = n;
        while let Some(result) = waiting.try_join_next() {
            result.unwrap();
        }
        tokio::time::sleep(PACE).await;
    }
    // All of them are settled in the end.
    while let Some(result) = soon(waiting.join_next()).await {
        result.unwrap();
    }
}

/// Receives ticks and checks that they are consecutive within a session.
async fn listen(socket: Socket, seen: Arc<AtomicU64>) {
    let mut events = socket.events();
    let mut expected = None;
    let mut connected = false;
    while let Some(event) = events.next().await {
        match event {
            SocketEvent::Connect { recovered, .. } => {
                assert!(!std::mem::replace(&mut connected, true), "connected twice");
                if !recovered {
                    expected = None;
                }
                // A session whose `join` was lost can also be recovered.
                if expected.is_none() {
                    socket.emit("join", "ticks").unwrap();
                }
            }
            SocketEvent::Disconnect { .. } => assert!(
                std::mem::replace(&mut connected, false),
                "disconnected twice"
            ),
            SocketEvent::Event(event) if event.name() == "tick" => {
                let n: u64 = event.data().unwrap();
                let next = *expected.get_or_insert(n);
                assert_eq!(n, next, "a tick was lost or came twice");
                expected = Some(n + 1);
                seen.fetch_add(1, Ordering::SeqCst);
            }
            SocketEvent::Lagged(_) => panic!("lagged"),
            _ => {}
        }
    }
}
