//! Memory of the server after many clients have disconnected.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::support::{Process, fanfare};

const MIB: usize = 1 << 20;

/// Returns the bytes that a process has allocated and touched.
fn memory(process: &Process) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:"));
    let kib: usize = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib * 1024
}

/// Opens a WebSocket and sends all of a message but its end.
fn unfinished(address: &str, len: usize) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .write_all(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
              Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .unwrap();
    assert_ne!(stream.read(&mut [0; 1024]).unwrap(), 0);
    let announced = u64::try_from(len + 1).unwrap().to_be_bytes();
    let head = [&[0x81, 0xff][..], &announced, &[0; 4]].concat();
    stream.write_all(&head).unwrap();
    stream.write_all(&vec![b'4'; len]).unwrap();
    stream
}

#[test]
fn memory_is_given_back_when_clients_have_gone() {
    let demo = Process::start(fanfare(&["demo", "--port", "0"]));
    let line = demo.wait("Chat  ");
    let url = line.rsplit_once(' ').unwrap().1.trim_end_matches("/chat/");
    let address = url.trim_start_matches("http://");
    let start = memory(&demo);
    let sizes = [300, 3_000, 30_000, 60_000, 300_000];
    let clients: Vec<_> = (0..600)
        .map(|n| unfinished(address, sizes[n % sizes.len()]))
        .collect();
    let until = |what: &str, so: &dyn Fn(usize) -> bool| {
        let begin = Instant::now();
        loop {
            let grown = memory(&demo).saturating_sub(start);
            if so(grown) {
                return grown;
            }
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "{what}: {grown} bytes more"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    let most = until("what the clients sent is held", &|grown| grown > 35 * MIB);
    drop(clients);
    let left = until("it is given back", &|grown| grown < 8 * MIB);
    println!("{most} bytes more with the clients, {left} after them");
}
