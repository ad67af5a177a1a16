//! A real Node server that is killed, stalled, restarted, cut off and half-open at random, `FANFARE_FAULTS` times.
//!
//! Each client emits numbers and receives numbers all the time. What must hold whatever happens: numbers arrive in order
//! and never twice; what was acknowledged has arrived, even if the server was killed right after; a recovered session
//! misses nothing; every acknowledgement is settled; and at the end no task and no buffered event is left.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fanfare_client::{Socket, SocketEvent, Transport, connect};
use parking_lot::Mutex;
use serde_json::json;
use support::{Node, soon, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the network does to connections; the numbers are generations: connections opened before are hit.
#[derive(Clone, Copy, Default)]
struct Weather {
    cut: u64,
    half_open: u64,
    frozen: bool,
    refuse: bool,
}

/// A TCP relay with weather.
struct Network {
    port: u16,
    weather: watch::Sender<Weather>,
    generation: Arc<AtomicU64>,
    task: tokio::task::JoinHandle<()>,
}

impl Network {
    async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let weather = watch::Sender::new(Weather::default());
        let generation = Arc::new(AtomicU64::new(1));
        let (watching, counter) = (weather.clone(), generation.clone());
        let task = tokio::spawn(async move {
            let mut relays = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                while relays.try_join_next().is_some() {}
                let mut weather = watching.subscribe();
                if weather.borrow_and_update().refuse {
                    continue;
                }
                let mine = counter.fetch_add(1, Ordering::SeqCst);
                relays.spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
                        return;
                    };
                    let (client_in, client_out) = client.into_split();
                    let (server_in, server_out) = server.into_split();
                    let watching = weather.clone();
                    let cut = async { _ = weather.wait_for(|weather| weather.cut >= mine).await };
                    tokio::select! {
                        () = pump(client_in, server_out, mine, watching.clone()) => {}
                        () = pump(server_in, client_out, mine, watching) => {}
                        () = cut => {}
                    }
                });
            }
        });
        Self {
            port,
            weather,
            generation,
            task,
        }
    }

    fn change(&self, change: impl FnOnce(&mut Weather, u64)) {
        let now = self.generation.load(Ordering::SeqCst);
        self.weather.send_modify(|weather| change(weather, now));
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mine: u64,
    mut weather: watch::Receiver<Weather>,
) {
    let mut buffer = vec![0; 4096];
    while let Ok(n) = from.read(&mut buffer).await {
        // Half-open: for ever; frozen: for a while.
        let _ = weather
            .wait_for(|weather| !weather.frozen && weather.half_open < mine)
            .await;
        if n == 0 || to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }
}

/// Receives ticks and checks that they follow each other as long as the session does.
async fn listen(socket: &Socket, seen: Arc<AtomicU64>) {
    let mut events = socket.events();
    let mut expected = None;
    let mut connected = false;
    while let Some(event) = events.next().await {
        match event {
            SocketEvent::Connect { recovered, .. } => {
                assert!(!std::mem::replace(&mut connected, true), "connected twice");
                if !recovered {
                    expected = None;
                    socket.emit("join", "ticks").unwrap();
                }
            }
            SocketEvent::Disconnect { .. } => assert!(
                std::mem::replace(&mut connected, false),
                "disconnected twice"
            ),
            SocketEvent::Event(event) if event.name() == "tick" => {
                let n: u64 = event.data().unwrap();
                assert_eq!(
                    n,
                    *expected.get_or_insert(n),
                    "a tick was lost or came twice"
                );
                expected = Some(n + 1);
                seen.fetch_add(1, Ordering::SeqCst);
            }
            SocketEvent::Lagged(_) => panic!("lagged"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_doubled_or_leaked() {
    let faults: u64 = std::env::var("FANFARE_FAULTS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(30);
    let seed = std::env::var("FANFARE_SEED")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(0x00fa_11ed);
    let mut random = Random(seed | 1);
    let log = std::env::temp_dir().join(format!("fanfare-faults-{}.log", std::process::id()));
    let _ = std::fs::remove_file(&log);
    let mut node = Node::with(json!({
        "pingInterval": 400, "pingTimeout": 400, "recovery": 60_000, "ticks": 20, "log": log.to_str().unwrap(),
    }));
    let network = Network::start(node.port).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    let tasks_before = metrics.num_alive_tasks();

    let acked: Arc<Mutex<HashMap<String, HashSet<u64>>>> = Arc::default();
    let ticks = Arc::new(AtomicU64::new(0));
    let mut clients = Vec::new();
    for (name, transports) in [
        ("websocket", vec![Transport::WebSocket]),
        ("polling", vec![Transport::Polling]),
        ("upgrade", vec![Transport::Polling, Transport::WebSocket]),
        ("fallback", vec![Transport::WebSocket, Transport::Polling]),
    ] {
        let socket = connect(format!("http://127.0.0.1:{}", network.port))
            .upgrade(name == "upgrade")
            .transports(transports)
            .connect_timeout(Duration::from_millis(1500))
            .reconnection_delay(Duration::from_millis(20), Duration::from_millis(200))
            .build()
            .unwrap();
        let listener = tokio::spawn({
            let (socket, ticks) = (socket.clone(), ticks.clone());
            async move { listen(&socket, ticks).await }
        });
        socket.connect();
        let (stop, stopped) = watch::channel(false);
        let emitter = tokio::spawn({
            let (socket, acked) = (socket.clone(), acked.clone());
            async move {
                let mut waiting = JoinSet::new();
                let mut n = 0;
                while !*stopped.borrow() {
                    n += 1;
                    if n % 3 == 0 {
                        socket.emit("number", (name, n)).unwrap();
                    } else {
                        let (acked, timeout) =
                            (acked.clone(), Duration::from_millis(500 + n % 7 * 300));
                        let request = socket
                            .emit_with_ack::<u64>("number", (name, n))
                            .timeout(timeout)
                            .send()
                            .unwrap();
                        waiting.spawn(async move {
                            if let Ok(answer) = request.await {
                                assert_eq!(answer, n, "the answer to another question");
                                acked.lock().entry(name.to_owned()).or_default().insert(n);
                            }
                        });
                    }
                    while let Some(result) = waiting.try_join_next() {
                        result.unwrap();
                    }
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
                // All of them are settled in the end.
                while let Some(result) = soon(waiting.join_next()).await {
                    result.unwrap();
                }
            }
        });
        clients.push((socket, listener, emitter, stop));
    }

    for _ in 0..faults {
        let kind = random.below(8);
        match kind {
            0..=2 => network.change(|weather, now| weather.cut = now),
            3 => network.change(|weather, now| weather.half_open = now),
            4 => {
                network.change(|weather, _| weather.frozen = true);
                tokio::time::sleep(Duration::from_millis(random.below(1200))).await;
                network.change(|weather, _| weather.frozen = false);
            }
            5 => {
                network.change(|weather, now| (weather.cut, weather.refuse) = (now, true));
                tokio::time::sleep(Duration::from_millis(random.below(400))).await;
                network.change(|weather, _| weather.refuse = false);
            }
            6 => {
                node.stall();
                tokio::time::sleep(Duration::from_millis(random.below(1500))).await;
                node.resume();
            }
            _ => {
                node.kill();
                tokio::time::sleep(Duration::from_millis(random.below(200))).await;
                node.restart();
            }
        }
        tokio::time::sleep(Duration::from_millis(random.below(700))).await;
    }

    // The sky clears: everybody comes back and everything settles.
    let before = ticks.load(Ordering::SeqCst);
    until(|| clients.iter().all(|(socket, ..)| socket.connected())).await;
    until(|| ticks.load(Ordering::SeqCst) > before).await;
    for (_, _, _, stop) in &clients {
        stop.send(true).unwrap();
    }
    for (socket, listener, emitter, _) in clients {
        emitter.await.unwrap();
        until(|| (socket.buffered().0, socket.pending_acks()) == (0, 0)).await;
        soon(socket.disconnect()).await;
        // Its handle in the listener is the last one.
        listener.abort();
        if let Err(error) = listener.await {
            assert!(error.is_cancelled(), "{error}");
        }
    }
    until(|| metrics.num_alive_tasks() <= tasks_before + 16).await;
    network.change(|weather, now| weather.cut = now + 1_000_000);
    network.task.abort();
    until(|| metrics.num_alive_tasks() <= tasks_before).await;

    let mut last: HashMap<String, u64> = HashMap::new();
    let mut arrived: HashSet<(String, u64)> = HashSet::new();
    for line in std::fs::read_to_string(&log).unwrap().lines() {
        let (name, n) = line.split_once(' ').unwrap();
        let n: u64 = n.parse().unwrap();
        let last = last.entry(name.to_owned()).or_default();
        assert!(
            n > *last,
            "{name}: {n} after {last}: doubled or out of order"
        );
        *last = n;
        arrived.insert((name.to_owned(), n));
    }
    let acked = acked.lock();
    assert_eq!(acked.len(), 4, "every client got acknowledgements");
    let mut count = 0;
    for (name, numbers) in &*acked {
        for n in numbers {
            assert!(
                arrived.contains(&(name.clone(), *n)),
                "{name}: {n} was acknowledged but did not arrive"
            );
            count += 1;
        }
    }
    println!(
        "{faults} faults: {} numbers arrived, {count} acknowledged, {} ticks",
        arrived.len(),
        ticks.load(Ordering::SeqCst)
    );
    let _ = std::fs::remove_file(&log);
}
