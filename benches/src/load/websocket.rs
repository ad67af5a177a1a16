//! Clients over WebSocket: handshakes, and the event loop.

use std::io;
use std::time::Duration;

use anyhow::Result;
use mio::{Events, Interest, Poll, Token};

use super::meter::{Meter, Phase};
use super::text::{CLOSE, Frame, PING, PONG, TEXT, excerpt, frame, parse_frame};
use super::traffic::Script;
use super::wire::{Dialer, Input, Wire};
use super::{LoadArgs, Measured, Traffic};

/// Nonce of all handshakes, and its answer (RFC 6455 section 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Waiting for the response to the upgrade.
    Upgrading,
    /// Waiting for Engine.IO's `open` packet.
    Opening,
    /// Waiting for the answer of the namespace.
    Entering,
    In,
    /// Waiting for this number of answers to joins.
    Joining(u32),
    Ready,
    /// Waiting for the server to close.
    Closing,
}

struct Client {
    wire: Wire,
    state: State,
    began: u64,
    /// Incomplete frame.
    rest: Vec<u8>,
    out: Vec<u8>,
}

struct Loop<'a> {
    args: &'a LoadArgs,
    poll: Poll,
    dialer: Dialer,
    meter: Meter<'a>,
    script: Script,
    clients: Vec<Option<Client>>,
    /// Clients without a connection.
    free: Vec<usize>,
    connecting: u32,
    ready: u32,
    joins: u64,
    scratch: Vec<u8>,
    /// Clients with queued packets that no read has triggered.
    touched: Vec<usize>,
}

pub(super) fn run(args: &LoadArgs) -> Result<Measured> {
    let mut all = Loop {
        args,
        poll: Poll::new()?,
        dialer: Dialer::new(args.port, args.ca.as_deref())?,
        meter: Meter::new(args)?,
        script: Script::new(args),
        clients: (0..args.clients).map(|_| None).collect(),
        free: (0..args.clients as usize).rev().collect(),
        connecting: 0,
        ready: 0,
        joins: 0,
        scratch: vec![0; 256 * 1024],
        touched: Vec::new(),
    };
    all.run()?;
    Ok(all.meter.result(all.joins))
}

impl Loop<'_> {
    fn run(&mut self) -> Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut last = self.meter.now();
        loop {
            let now = self.meter.now();
            let before = self.meter.phase;
            self.meter.advance(self.is_ready(), self.outstanding(), now);
            match (before, self.meter.phase) {
                (_, Phase::Over) => return Ok(()),
                (Phase::Connect, Phase::Join) => self.join_all(),
                (Phase::Connect | Phase::Join, Phase::WarmUp) => self.begin(now),
                _ => {}
            }
            self.open_more();
            if self.meter.is_emitting() && self.emit(now) && self.args.traffic == Traffic::Burst {
                self.meter.watch_burst();
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
                if self.meter.is_spinning() {
                    (0..100).for_each(|_| std::hint::spin_loop());
                }
                let now = self.meter.now();
                self.meter.idle += now - last;
                last = now;
                continue;
            }
            for event in &events {
                let at = event.token().0;
                if event.is_writable() {
                    self.flush(at);
                }
                if event.is_readable() || event.is_error() || event.is_read_closed() {
                    self.readable(at);
                }
            }
            last = self.meter.now();
        }
    }

    fn is_ready(&self) -> bool {
        // In this scenario connecting is the traffic itself.
        self.args.traffic == Traffic::Connect || self.ready == self.args.clients
    }

    fn outstanding(&self) -> u64 {
        match self.args.traffic {
            Traffic::Connect => (self.clients.len() - self.free.len()) as u64,
            _ => self.script.outstanding(),
        }
    }

    /// Opens connections up to the concurrency limit.
    fn open_more(&mut self) {
        let wanted = match self.args.traffic {
            Traffic::Connect => self.meter.phase < Phase::Drain,
            _ => self.meter.phase == Phase::Connect,
        };
        let at_a_time = match self.args.traffic {
            Traffic::Connect => self.args.clients,
            _ => self.args.concurrency,
        };
        if !wanted {
            return;
        }
        // A counted loop, because connections that fail at once never count as connecting.
        for _ in self.connecting..at_a_time {
            let Some(at) = self.free.pop() else { return };
            if let Err(error) = self.open(at) {
                self.free.push(at);
                return self.meter.error(format!("cannot connect: {error}"));
            }
        }
    }

    fn open(&mut self, at: usize) -> io::Result<()> {
        let began = self.meter.now();
        let mut wire = self.dialer.dial()?;
        self.poll.registry().register(
            &mut wire.socket,
            Token(at),
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let request = format!(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n",
            self.args.port
        );
        self.connecting += 1;
        self.clients[at] = Some(Client {
            wire,
            state: State::Upgrading,
            began,
            rest: Vec::new(),
            out: request.into_bytes(),
        });
        self.flush(at);
        Ok(())
    }

    fn drop_client(&mut self, at: usize) {
        if let Some(client) = self.clients[at].take() {
            if matches!(
                client.state,
                State::Upgrading | State::Opening | State::Entering
            ) {
                self.connecting -= 1;
            }
            self.free.push(at);
        }
    }

    /// Sends a client's queued frames.
    fn flush(&mut self, at: usize) {
        let Some(client) = &mut self.clients[at] else {
            return;
        };
        let result = client.wire.write(&client.out);
        client.out.clear();
        if let Err(error) = result
            && client.state != State::Closing
        {
            self.meter.error(format!("cannot write: {error}"));
            self.drop_client(at);
        }
    }

    /// Emits what is due; returns `false` if nothing is.
    fn emit(&mut self, now: u64) -> bool {
        let Self {
            script,
            clients,
            touched,
            ..
        } = self;
        script.emit(now, &mut |at, write| {
            if let Some(client) = &mut clients[at] {
                if client.out.is_empty() {
                    touched.push(at);
                }
                write(&mut client.out);
            }
        });
        let emitted = !self.touched.is_empty();
        while let Some(at) = self.touched.pop() {
            self.flush(at);
        }
        emitted
    }

    fn join_all(&mut self) {
        self.ready = 0;
        for at in 0..self.clients.len() {
            if let Some(client) = &mut self.clients[at] {
                let answers = self.script.join(at, &mut client.out);
                client.state = State::Joining(answers);
                self.joins += u64::from(answers);
                self.flush(at);
            }
        }
    }

    fn begin(&mut self, now: u64) {
        for at in 0..self.clients.len() {
            if let Some(client) = &mut self.clients[at]
                && self.args.traffic != Traffic::Connect
            {
                client.state = State::Ready;
                self.script.fill(at, now, &mut client.out);
                self.flush(at);
            }
        }
    }

    fn readable(&mut self, at: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        while let Some(client) = &mut self.clients[at] {
            let kept = client.rest.len();
            if scratch.len() < kept + 64 * 1024 {
                scratch.resize(kept + 64 * 1024, 0);
            }
            let read = client.wire.read(&mut scratch[kept..]);
            let (n, more) = match read {
                Ok(Input::More(n)) => (n, true),
                Ok(Input::Last(n)) => (n, false),
                Ok(Input::Closed) => {
                    if client.state != State::Closing {
                        self.meter.error("the server has cut a connection");
                    }
                    self.drop_client(at);
                    break;
                }
                Err(error) => {
                    if client.state != State::Closing {
                        self.meter.error(format!("cannot read: {error}"));
                    }
                    self.drop_client(at);
                    break;
                }
            };
            if n > 0 {
                scratch[..kept].copy_from_slice(&client.rest);
                client.rest.clear();
                let now = self.meter.now();
                let used = self.handle(at, &scratch[..kept + n], now);
                if let Some(client) = &mut self.clients[at] {
                    client.rest.extend_from_slice(&scratch[used..kept + n]);
                    if !client.out.is_empty() {
                        self.flush(at);
                    }
                }
            }
            if !more {
                break;
            }
        }
        self.scratch = scratch;
    }

    /// Handles the complete frames; returns their length in bytes.
    fn handle(&mut self, at: usize, bytes: &[u8], now: u64) -> usize {
        let mut used = 0;
        if let Some(client) = &mut self.clients[at]
            && client.state == State::Upgrading
        {
            let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                return 0;
            };
            let head = &bytes[..end];
            let accepted = head.windows(ACCEPT.len()).any(|part| part == ACCEPT);
            if !head.starts_with(b"HTTP/1.1 101") || !accepted {
                self.meter.error(format!("no upgrade: {}", excerpt(head)));
                self.drop_client(at);
                return bytes.len();
            }
            client.state = State::Opening;
            self.meter.resumed += u64::from(client.wire.is_resumed());
            used = end + 4;
        }
        loop {
            match parse_frame(&bytes[used..]) {
                Ok(None) => return used,
                Ok(Some(frame)) => {
                    used += frame.len;
                    self.on_frame(at, &frame, now);
                }
                Err(why) => {
                    self.meter.error(why);
                    self.drop_client(at);
                }
            }
            if self.clients[at].is_none() {
                return bytes.len();
            }
        }
    }

    fn on_frame(&mut self, at: usize, got: &Frame<'_>, now: u64) {
        let Some(client) = &mut self.clients[at] else {
            return;
        };
        let data = got.payload;
        match (got.opcode, data) {
            (CLOSE, _) => {
                if client.state != State::Closing {
                    self.meter.error("the server has closed a connection");
                }
                return self.drop_client(at);
            }
            (PING, _) => {
                return frame(&mut client.out, PONG, |out| out.extend_from_slice(data));
            }
            (TEXT, b"2") => {
                self.meter.pings += 1;
                return frame(&mut client.out, TEXT, |out| out.push(b'3'));
            }
            _ => {}
        }
        match client.state {
            State::Ready => {
                self.script.receive(at, got, now, &mut self.meter);
                if self.meter.is_emitting() {
                    self.script.fill(at, now, &mut client.out);
                }
                return;
            }
            State::Opening if data.starts_with(b"0{") => {
                client.state = State::Entering;
                return frame(&mut client.out, TEXT, |out| out.extend_from_slice(b"40"));
            }
            State::Entering if data.starts_with(b"40{") => {
                self.connecting -= 1;
                if self.args.traffic == Traffic::Connect {
                    client.state = State::Closing;
                    self.meter.finished(client.began, now);
                    return frame(&mut client.out, CLOSE, |out| {
                        out.extend_from_slice(&1000_u16.to_be_bytes());
                    });
                }
                client.state = State::In;
                self.ready += 1;
                return;
            }
            State::Joining(left) if data.starts_with(b"43") => {
                client.state = State::Joining(left - 1);
                self.ready += u32::from(left == 1);
                return;
            }
            State::Closing => return,
            _ => {}
        }
        let state = client.state;
        self.meter
            .error(format!("unexpected while {state:?}: {}", excerpt(data)));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        load: LoadArgs,
    }

    #[test]
    fn a_server_that_is_not_there_ends_the_run() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        drop(listener);
        let cli = Cli::parse_from(["load", "echo", "--clients", "3", "--port", &port]);
        let measured = run(&cli.load).unwrap();
        assert!(measured.errors > 0);
        assert!(measured.messages[0].starts_with("cannot "), "{measured:?}");
    }
}
