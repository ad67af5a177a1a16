//! Requests that arrive in order on two connections of one session, on every kind of runtime.
//!
//! The kernel knows the order in which they arrived; the tasks that read them may run in another one. These tests check
//! the order that Node's single thread keeps, with a server that is blocked while the requests arrive, and at full
//! speed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use fanfare_engine::{
    CloseReason, Connection, Engine, EngineConfig, Handler, HandshakeRequest, serve,
};
use tokio::runtime::{Builder, Runtime};

const PATIENCE: Duration = Duration::from_secs(20);
const ROUNDS: usize = 60;

struct Closes(mpsc::Sender<CloseReason>);

type Conn = Arc<Connection<()>>;

impl Handler for Closes {
    type State = ();

    fn accept(&self, _: &HandshakeRequest) {}
    fn open(&self, _: &Conn) {}
    fn text(&self, _: &Conn, _: &str) {}
    fn binary(&self, _: &Conn, _: &[u8]) {}
    fn close(&self, _: &Conn, reason: CloseReason) {
        let _ = self.0.send(reason);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speed {
    /// All workers of the server are blocked while the requests arrive.
    HeldUp,
    Full,
}

struct Server {
    runtime: Runtime,
    workers: usize,
    address: SocketAddr,
    closes: mpsc::Receiver<CloseReason>,
}

impl Server {
    fn start(workers: usize) -> Server {
        let mut builder = match workers {
            // A single-threaded runtime needs a thread that drives it; a pool of one worker does that itself, and has
            // the same scheduler as bigger ones.
            1 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        let runtime = builder
            .worker_threads(workers.max(1))
            .enable_all()
            .build()
            .unwrap();
        let (sender, closes) = mpsc::channel();
        let mut config = EngineConfig::default();
        config.path = "/engine.io/".to_owned();
        let engine = Engine::new(Closes(sender), config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            serve(engine.service()).listener(listener).await
        });
        Server {
            runtime,
            workers,
            address,
            closes,
        }
    }

    /// Blocks every worker until the result is dropped.
    fn hold_up(&self, speed: Speed) -> Vec<mpsc::Sender<()>> {
        if speed == Speed::Full {
            return Vec::new();
        }
        let (ready, held) = mpsc::channel();
        let mut releases = Vec::new();
        for _ in 0..self.workers {
            let (release, released) = mpsc::channel::<()>();
            let ready = ready.clone();
            self.runtime.spawn(async move {
                ready.send(()).unwrap();
                let _ = released.recv();
            });
            releases.push(release);
            // One after the other: if two wait together, one worker may take both, and then no other is woken for the
            // second before a timer fires.
            held.recv_timeout(PATIENCE).unwrap();
        }
        releases
    }

    fn connect(&self) -> Http {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Http(stream)
    }

    /// Opens a connection that has had a response, so that the server is already reading it.
    fn warm(&self) -> Http {
        let mut http = self.connect();
        http.send("GET /elsewhere HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(http.answer().0, 404);
        http
    }

    fn open(&self) -> String {
        let mut http = self.connect();
        http.send("GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n");
        let (status, body) = http.answer();
        assert_eq!(status, 200);
        let (_, rest) = body.split_once("\"sid\":\"").unwrap();
        rest[..rest.find('"').unwrap()].to_owned()
    }

    fn closed(&self) -> CloseReason {
        self.closes.recv_timeout(PATIENCE).unwrap()
    }
}

struct Http(TcpStream);

impl Http {
    fn send(&mut self, request: &str) {
        self.0.write_all(request.as_bytes()).unwrap();
    }

    fn get(&mut self, sid: &str) {
        self.send(&format!(
            "GET /engine.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\n\r\n"
        ));
    }

    fn post(&mut self, sid: &str, body: &str) {
        let len = body.len();
        self.send(&format!(
            "POST /engine.io/?EIO=4&transport=polling&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: {len}\r\n\r\n{body}"
        ));
    }

    fn head(&mut self) -> String {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    }

    fn answer(&mut self) -> (u16, String) {
        let head = self.head();
        let len = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .map_or(0, |len| len.parse().unwrap());
        let mut body = vec![0; len];
        self.0.read_exact(&mut body).unwrap();
        (
            head[9..12].parse().unwrap(),
            String::from_utf8(body).unwrap(),
        )
    }

    fn websocket(&mut self, sid: &str) {
        self.send(&format!(
            "GET /engine.io/?EIO=4&transport=websocket&sid={sid} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ));
        assert!(self.head().starts_with("http/1.1 101"));
    }

    /// Sends a short text in a frame with a mask of zeros.
    fn frame(&mut self, text: &str) {
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 0, 0, 0, 0];
        frame.extend_from_slice(text.as_bytes());
        self.0.write_all(&frame).unwrap();
    }

    fn text(&mut self) -> String {
        let mut head = [0; 2];
        self.0.read_exact(&mut head).unwrap();
        let mut payload = vec![0; usize::from(head[1])];
        self.0.read_exact(&mut payload).unwrap();
        String::from_utf8(payload).unwrap()
    }
}

/// Runs a scenario many times on each kind of runtime. The scenario returns its failure.
fn everywhere(scenario: impl Fn(&Server, Speed) -> Result<(), String>) {
    let mut wrong = Vec::new();
    for workers in [1, 2, 4] {
        let server = Server::start(workers);
        std::thread::scope(|scope| {
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            if workers == 1 {
                let runtime = &server.runtime;
                scope.spawn(move || runtime.block_on(stopped));
            }
            for speed in [Speed::HeldUp, Speed::Full] {
                let failures: Vec<_> = (0..ROUNDS)
                    .filter_map(|_| scenario(&server, speed).err())
                    .collect();
                if let Some(first) = failures.first() {
                    let n = failures.len();
                    wrong.push(format!(
                        "{workers} workers, {speed:?}: {n} of {ROUNDS}: {first}"
                    ));
                }
            }
            drop(stop);
        });
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn expect<T: PartialEq + std::fmt::Debug>(what: &str, got: T, expected: T) -> Result<(), String> {
    if got == expected {
        return Ok(());
    }
    Err(format!("{what}: {got:?} instead of {expected:?}"))
}

fn answer(status: u16, body: &str) -> (u16, String) {
    (status, body.to_owned())
}

const UNKNOWN_SID: &str = r#"{"code":1,"message":"Session ID unknown"}"#;

#[test]
fn a_get_in_front_of_a_close_packet_gets_a_noop() {
    everywhere(|server, speed| {
        let sid = server.open();
        let (mut get, mut post) = (server.warm(), server.warm());
        let held = server.hold_up(speed);
        get.get(&sid);
        if speed == Speed::HeldUp {
            std::thread::sleep(Duration::from_millis(1));
        }
        post.post(&sid, "1");
        drop(held);
        let got = (get.answer(), post.answer());
        expect("reason", server.closed(), CloseReason::TransportClose)?;
        expect("GET", got.0, answer(200, "6"))?;
        expect("POST", got.1, answer(200, "ok"))?;
        get.get(&sid);
        expect("second GET", get.answer(), answer(400, UNKNOWN_SID))
    });
}

#[test]
fn a_get_in_front_of_a_close_packet_gets_a_noop_on_new_connections() {
    everywhere(|server, speed| {
        let sid = server.open();
        let held = server.hold_up(speed);
        let mut get = server.connect();
        get.get(&sid);
        let mut post = server.connect();
        post.post(&sid, "1");
        drop(held);
        let got = (get.answer(), post.answer());
        expect("reason", server.closed(), CloseReason::TransportClose)?;
        expect("GET", got.0, answer(200, "6"))?;
        expect("POST", got.1, answer(200, "ok"))
    });
}

#[test]
fn a_close_packet_without_a_get_is_answered() {
    let rounds = Cell::new(0);
    everywhere(|server, _| {
        rounds.set(rounds.get() + 1);
        if rounds.get() % 20 > 0 {
            return Ok(()); // each takes as long as the server waits for the GET
        }
        let sid = server.open();
        let mut http = server.warm();
        http.post(&sid, "4x\x1e1");
        expect("POST", http.answer(), answer(200, "ok"))?;
        expect("reason", server.closed(), CloseReason::TransportClose)?;
        http.get(&sid);
        expect("GET", http.answer(), answer(400, UNKNOWN_SID))
    });
}

#[test]
fn a_get_behind_one_that_was_given_up_finds_the_session_closed() {
    everywhere(|server, speed| {
        let sid = server.open();
        let (mut first, mut second) = (server.warm(), server.warm());
        let held = server.hold_up(speed);
        first.get(&sid);
        drop(first);
        second.get(&sid);
        drop(held);
        expect("GET", second.answer(), answer(400, UNKNOWN_SID))?;
        expect("reason", server.closed(), CloseReason::TransportError)
    });
}

#[test]
fn a_get_behind_a_waiting_one_that_is_given_up_finds_the_session_closed() {
    everywhere(|server, speed| {
        let sid = server.open();
        let (mut first, mut second) = (server.warm(), server.warm());
        first.get(&sid);
        let held = server.hold_up(speed);
        drop(first);
        second.get(&sid);
        drop(held);
        expect("GET", second.answer(), answer(400, UNKNOWN_SID))?;
        expect("reason", server.closed(), CloseReason::TransportError)
    });
}

#[test]
fn a_get_behind_an_upgrade_packet_is_refused() {
    everywhere(|server, speed| {
        let sid = server.open();
        let (mut websocket, mut get) = (server.connect(), server.warm());
        websocket.websocket(&sid);
        websocket.frame("2probe");
        expect("answer", websocket.text().as_str(), "3probe")?;
        let held = server.hold_up(speed);
        websocket.frame("5");
        get.get(&sid);
        drop(held);
        let mismatch = r#"{"code":3,"message":"Bad request"}"#;
        expect("GET", get.answer(), answer(400, mismatch))?;
        websocket.frame("1");
        expect("reason", server.closed(), CloseReason::TransportClose)
    });
}
