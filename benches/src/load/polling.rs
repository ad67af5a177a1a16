//! Clients over HTTP long-polling: a GET waits on one connection, POSTs use another.

use std::io;
use std::time::Duration;

use anyhow::Result;
use mio::{Events, Interest, Poll, Token};

use super::meter::{Meter, Phase};
use super::text::excerpt;
use super::traffic::Echo;
use super::wire::{Dialer, Input, Wire};
use super::{LoadArgs, Measured};

/// Separator between two packets.
const SEPARATOR: u8 = 0x1e;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Opening,
    Entering,
    Ready,
}

struct Channel {
    wire: Wire,
    rest: Vec<u8>,
    /// Whether a request is pending.
    busy: bool,
}

struct Client {
    state: State,
    sid: String,
    /// Connections for GET and POST.
    channels: [Channel; 2],
    pong: bool,
}

const GET: usize = 0;
const POST: usize = 1;

struct Loop<'a> {
    args: &'a LoadArgs,
    poll: Poll,
    dialer: Dialer,
    meter: Meter<'a>,
    echo: Echo,
    clients: Vec<Client>,
    connecting: u32,
    ready: u32,
    scratch: Vec<u8>,
}

pub(super) fn run(args: &LoadArgs) -> Result<Measured> {
    let mut all = Loop {
        args,
        poll: Poll::new()?,
        dialer: Dialer::new(args.port, None)?,
        meter: Meter::new(args)?,
        echo: Echo::new(args),
        clients: Vec::new(),
        connecting: 0,
        ready: 0,
        scratch: vec![0; 64 * 1024],
    };
    all.run()?;
    Ok(all.meter.result(0))
}

impl Loop<'_> {
    fn run(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut last = self.meter.now();
        loop {
            let now = self.meter.now();
            let before = self.meter.phase;
            let ready = self.ready == self.args.clients;
            self.meter.advance(ready, self.echo.outstanding(), now);
            match (before, self.meter.phase) {
                (_, Phase::Over) => return Ok(()),
                (Phase::Connect, Phase::WarmUp) => {
                    (0..self.clients.len()).for_each(|at| self.pump(at, now));
                }
                _ => {}
            }
            while self.meter.phase == Phase::Connect
                && self.clients.len() < self.args.clients as usize
                && self.connecting < self.args.concurrency
            {
                self.open()?;
            }
            let wait = if self.meter.is_spinning() {
                Duration::ZERO
            } else {
                Duration::from_millis(1)
            };
            if let Err(error) = self.poll.poll(&mut events, Some(wait))
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error.into());
            }
            if events.is_empty() {
                let now = self.meter.now();
                self.meter.idle += now - last;
                last = now;
                continue;
            }
            for event in &events {
                let (at, channel) = (event.token().0 / 2, event.token().0 % 2);
                if event.is_writable() {
                    self.write(at, channel, &[]);
                }
                if event.is_readable() || event.is_error() || event.is_read_closed() {
                    self.readable(at, channel);
                }
            }
            last = self.meter.now();
        }
    }

    fn open(&mut self) -> Result<()> {
        let at = self.clients.len();
        let mut channel = |number: usize| -> Result<Channel> {
            let mut wire = self.dialer.dial()?;
            self.poll.registry().register(
                &mut wire.socket,
                Token(at * 2 + number),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            Ok(Channel {
                wire,
                rest: Vec::new(),
                busy: false,
            })
        };
        let channels = [channel(GET)?, channel(POST)?];
        self.clients.push(Client {
            state: State::Opening,
            sid: String::new(),
            channels,
            pong: false,
        });
        self.connecting += 1;
        self.get(at);
        Ok(())
    }

    fn write(&mut self, at: usize, channel: usize, data: &[u8]) {
        if let Err(error) = self.clients[at].channels[channel].wire.write(data) {
            self.meter.error(format!("cannot write: {error}"));
        }
    }

    fn get(&mut self, at: usize) {
        let client = &mut self.clients[at];
        client.channels[GET].busy = true;
        let request = format!(
            "GET /socket.io/?EIO=4&transport=polling{} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAccept: */*\r\n\r\n",
            client.sid, self.args.port
        );
        self.write(at, GET, request.as_bytes());
    }

    fn post(&mut self, at: usize, body: &[u8]) {
        let client = &mut self.clients[at];
        client.channels[POST].busy = true;
        let mut request = format!(
            "POST /socket.io/?EIO=4&transport=polling{} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\
             Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {}\r\n\r\n",
            client.sid,
            self.args.port,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.write(at, POST, &request);
    }

    /// Posts the client's queued packets, if no POST is pending.
    fn pump(&mut self, at: usize, now: u64) {
        let client = &mut self.clients[at];
        if client.channels[POST].busy || client.state != State::Ready {
            return;
        }
        let mut body = Vec::new();
        if std::mem::take(&mut client.pong) {
            body.push(b'3');
        }
        while self.meter.is_emitting() && !self.echo.is_full(at) {
            if !body.is_empty() {
                body.push(SEPARATOR);
            }
            self.echo.ask(at, now, &mut body);
        }
        if !body.is_empty() {
            self.post(at, &body);
        }
    }

    fn readable(&mut self, at: usize, channel: usize) {
        loop {
            let side = &mut self.clients[at].channels[channel];
            let more = match side.wire.read(&mut self.scratch) {
                Ok(Input::More(n)) => {
                    side.rest.extend_from_slice(&self.scratch[..n]);
                    true
                }
                Ok(Input::Last(n)) => {
                    side.rest.extend_from_slice(&self.scratch[..n]);
                    false
                }
                Ok(Input::Closed) => {
                    return self.meter.error("the server has cut a connection");
                }
                Err(error) => return self.meter.error(format!("cannot read: {error}")),
            };
            self.answers(at, channel);
            if !more {
                return;
            }
        }
    }

    /// Handles the complete responses.
    fn answers(&mut self, at: usize, channel: usize) {
        loop {
            let side = &mut self.clients[at].channels[channel];
            let mut rest = std::mem::take(&mut side.rest);
            let answer = match parse_answer(&rest) {
                Ok(None) => {
                    self.clients[at].channels[channel].rest = rest;
                    return;
                }
                Ok(Some(answer)) if side.busy => answer,
                Ok(Some(_)) => return self.meter.error("an answer that nobody asked for"),
                Err(why) => return self.meter.error(why),
            };
            side.busy = false;
            rest.drain(..answer.len);
            side.rest = rest;
            let now = self.meter.now();
            if channel == GET {
                for packet in answer.body.split(|byte| *byte == SEPARATOR) {
                    self.packet(at, packet, now);
                }
                self.get(at);
            } else if answer.body != b"ok" {
                self.meter.error(format!("POST: {}", excerpt(&answer.body)));
            }
            self.pump(at, now);
        }
    }

    fn packet(&mut self, at: usize, packet: &[u8], now: u64) {
        let client = &mut self.clients[at];
        match (client.state, packet) {
            (_, b"2") => {
                self.meter.pings += 1;
                client.pong = true;
            }
            (_, b"6") => {}
            (State::Opening, [b'0', json @ ..]) => {
                let open: Option<serde_json::Value> = serde_json::from_slice(json).ok();
                let sid = open.as_ref().and_then(|open| open["sid"].as_str());
                let Some(sid) = sid else {
                    return self.meter.error(format!("no sid: {}", excerpt(packet)));
                };
                client.sid = format!("&sid={sid}");
                client.state = State::Entering;
                self.post(at, b"40");
            }
            (State::Entering, packet) if packet.starts_with(b"40{") => {
                client.state = State::Ready;
                self.connecting -= 1;
                self.ready += 1;
            }
            (State::Ready, _) => self.echo.answer(at, packet, now, &mut self.meter),
            _ => self.meter.error(format!("unexpected: {}", excerpt(packet))),
        }
    }
}

struct Answer {
    body: Vec<u8>,
    /// Length of the whole response, in bytes.
    len: usize,
}

/// Parses the first response in `bytes`; returns `None` if it is incomplete.
fn parse_answer(bytes: &[u8]) -> Result<Option<Answer>, String> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "a head that is no text")?;
    let mut lines = head.split("\r\n");
    if !lines
        .next()
        .is_some_and(|line| line.starts_with("HTTP/1.1 200"))
    {
        return Err(format!("refused: {}", excerpt(bytes)));
    }
    let header = |name: &str| {
        head.split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    };
    let start = end + 4;
    if let Some(len) = header("content-length") {
        let len: usize = len.parse().map_err(|_| format!("content-length: {len}"))?;
        return Ok(bytes.get(start..start + len).map(|body| Answer {
            body: body.to_vec(),
            len: start + len,
        }));
    }
    if header("transfer-encoding").is_none_or(|coding| !coding.eq_ignore_ascii_case("chunked")) {
        return Err("an answer without a length".to_owned());
    }
    let (mut body, mut at) = (Vec::new(), start);
    loop {
        let Some(line) = bytes[at..].windows(2).position(|two| two == b"\r\n") else {
            return Ok(None);
        };
        let size = std::str::from_utf8(&bytes[at..at + line])
            .ok()
            .and_then(|size| usize::from_str_radix(size.trim(), 16).ok())
            .ok_or("a chunk without a size")?;
        at += line + 2;
        let Some(chunk) = bytes.get(at..at + size + 2) else {
            return Ok(None);
        };
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some(Answer { body, len: at }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_end_where_they_end() {
        let plain = b"HTTP/1.1 200 OK\r\ncontent-Length: 2\r\n\r\nokHTTP";
        let answer = parse_answer(plain).unwrap().unwrap();
        assert_eq!(
            (&answer.body[..], answer.len),
            (&b"ok"[..], plain.len() - 4)
        );
        assert!(parse_answer(&plain[..plain.len() - 5]).unwrap().is_none());
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n42[\r\n1\r\n]\r\n0\r\n\r\n";
        let answer = parse_answer(chunked).unwrap().unwrap();
        assert_eq!(
            (&answer.body[..], answer.len),
            (&b"42[]"[..], chunked.len())
        );
        for end in 0..chunked.len() {
            assert!(parse_answer(&chunked[..end]).unwrap().is_none());
        }
        assert!(parse_answer(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").is_err());
        assert!(parse_answer(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
