//! Fairness between connections: on every path, the work of one connection per turn is bounded.

use std::future::poll_fn;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use fanfare::{Limits, SocketIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::support::{Server, answer, within};

/// Maximum number of bytes that are read before other connections get their turn.
const MOST_READ: usize = 1 << 20;
/// Maximum number of answers that are written per turn.
const MOST_WRITES: usize = 64;
/// Number of bytes at which the flood ends, should the server never pause.
const END: usize = 48 << 20;

/// A client that sends forever and never makes the server wait.
struct Flood {
    head: Vec<u8>,
    cycle: Vec<u8>,
    at: usize,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    read: AtomicUsize,
    writes: AtomicUsize,
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.remaining();
        while buf.remaining() > 0 && this.seen.read.load(Ordering::Relaxed) < END {
            let rest = match this.at < this.head.len() {
                true => &this.head[this.at..],
                false => &this.cycle[(this.at - this.head.len()) % this.cycle.len()..],
            };
            let n = rest.len().min(buf.remaining());
            buf.put_slice(&rest[..n]);
            this.at += n;
        }
        let read = before - buf.remaining();
        this.seen.read.fetch_add(read, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Flood {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.seen.writes.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Moves to the end of the queue. (Tokio's `yield_now` waits until the queue is empty.)
async fn others_first() {
    let mut polled = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

async fn others_have_their_turn(io: &SocketIo, what: &str, head: &[u8], cycle: &[u8]) {
    let seen = Arc::new(Seen::default());
    let flood = Flood {
        head: head.to_vec(),
        cycle: cycle.to_vec(),
        at: 0,
        seen: seen.clone(),
    };
    let flooding = tokio::spawn(fanfare::serve(io.clone()).connection(flood, None));
    let bystander = tokio::spawn(async move {
        let now = || {
            let read = seen.read.load(Ordering::Relaxed);
            (read, seen.writes.load(Ordering::Relaxed))
        };
        let (mut most, mut before) = ((0, 0), now());
        for _ in 0..100 {
            others_first().await;
            let after = now();
            most = (
                most.0.max(after.0 - before.0),
                most.1.max(after.1 - before.1),
            );
            before = after;
        }
        most
    });
    let (read, writes) = within(what, bystander).await.unwrap();
    assert!(read + writes > 0, "{what}: nothing was done");
    assert!(read <= MOST_READ, "{what}: {read} bytes at once");
    assert!(writes <= MOST_WRITES, "{what}: {writes} answers at once");
    flooding.abort();
    let _ = flooding.await;
}

/// Uses one worker, so that a connection that does not pause delays all others.
#[tokio::test]
async fn a_flood_on_one_connection_leaves_others_their_turn() {
    let mut limits = Limits::default();
    limits.max_payload = END;
    let io = SocketIo::builder().limits(limits).build().unwrap();
    let get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    others_have_their_turn(&io, "requests", b"", get).await;
    let post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n";
    let post = [&post[..], &[b'x'; 60_000]].concat();
    others_have_their_turn(&io, "bodies that nobody wants", b"", &post).await;

    let (mut ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(fanfare::serve(io.clone()).connection(theirs, None));
    let polling = "/socket.io/?EIO=4&transport=polling";
    let open = format!("GET {polling} HTTP/1.1\r\nHost: x\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut ours, open.as_bytes())
        .await
        .unwrap();
    let (_, open) = answer(&mut ours).await;
    let sid = &open.split_once(r#""sid":""#).unwrap().1[..20];
    let start = format!("POST {polling}&sid={sid} HTTP/1.1\r\nHost: x\r\n");
    let length = format!("{start}Content-Length: {}\r\n\r\n", END - 1);
    others_have_their_turn(&io, "a long body", length.as_bytes(), b"x").await;
    let chunked = format!("{start}Transfer-Encoding: chunked\r\n\r\n");
    let chunks = b"1\r\nx\r\n".repeat(1000);
    others_have_their_turn(&io, "a body in small chunks", chunked.as_bytes(), &chunks).await;

    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let ping = b"\0\0\x08\x06\0\0\0\0\x0012345678";
    others_have_their_turn(&io, "pings of HTTP/2", preface, ping).await;

    let upgrade = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let upgrade = upgrade.as_bytes();
    let messages = b"\x81\x81\0\0\0\x003".repeat(1000);
    others_have_their_turn(&io, "messages", upgrade, &messages).await;
    let long = [&b"\x81\xfe\xea\x60\0\0\0\x003"[..], &[b'x'; 59_999]].concat();
    others_have_their_turn(&io, "long messages", upgrade, &long).await;
    let huge = [
        &b"\x81\xff\0\0\0\0\x01\0\0\0\0\0\0\x003"[..],
        &vec![b'x'; (1 << 24) - 1],
    ]
    .concat();
    others_have_their_turn(&io, "huge messages", upgrade, &huge).await;
    let broken = [upgrade, b"\x83\x80\0\0\0\0"].concat();
    others_have_their_turn(&io, "what comes behind the end", &broken, b"x").await;
}

/// Sends as many requests as the system's buffers hold.
#[tokio::test]
async fn pipelined_requests_on_a_socket_leave_others_their_turn() {
    let handled = Arc::new(AtomicUsize::new(0));
    let counted = handled.clone();
    let builder = SocketIo::builder().on_connection_error(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let server = Server::start(builder).await;
    let mut flood = std::net::TcpStream::connect(server.addr).unwrap();
    let mut answers = flood.try_clone().unwrap();
    let requests = b"GET /socket.io/ HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    std::thread::spawn(move || while flood.write_all(&requests).is_ok() {});
    let reading = std::thread::spawn(
        move || {
            while answers.read(&mut [0; 1 << 16]).is_ok_and(|n| n > 0) {}
        },
    );
    let bystander = tokio::spawn(async move {
        let (mut most, mut before) = (0, 0);
        while before < 20_000 {
            others_first().await;
            let now = handled.load(Ordering::Relaxed);
            most = most.max(now - before);
            before = now;
        }
        most
    });
    let most = within("many requests", bystander).await.unwrap();
    assert!(most <= MOST_WRITES, "{most} requests at once");
    drop(server.io);
    drop(reading);
}
