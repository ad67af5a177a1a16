//! Comparison of the codec with tungstenite: each reads what the other writes, cut into arbitrary pieces.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::io::{self, Cursor, Read, Write};

use fanfare_websocket::{
    Decoded, Decoder, DecoderConfig, Event, OpCode, Role,
    deflate::{self, Compressor},
    frame,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket,
    protocol::{Role as TheirRole, frame::CloseFrame, frame::coding::CloseCode},
};

/// An event that owns its content.
#[derive(Clone, Debug, PartialEq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

/// Feeds `bytes` in pieces that end at `cuts`, as a server or client would, and keeps what is incomplete.
fn decode(
    role: Role,
    config: DecoderConfig,
    bytes: &[u8],
    cuts: &[Index],
) -> Result<Vec<Got>, &'static str> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(bytes.len());
    let mut decoder = Decoder::new(role, config);
    let (mut kept, mut fed, mut got) = (Vec::new(), 0, Vec::new());
    for cut in cuts {
        kept.extend_from_slice(&bytes[fed..cut]);
        fed = cut;
        let mut at = 0;
        loop {
            match decoder
                .next(&mut kept[at..])
                .map_err(|error| error.label())?
            {
                Decoded::Incomplete { need } => {
                    assert!(need > kept.len() - at);
                    break;
                }
                Decoded::Event { consumed, event } => {
                    at += consumed;
                    got.extend(match event {
                        Event::Text(text) => Some(Got::Text(text.to_owned())),
                        Event::Binary(bytes) => Some(Got::Binary(bytes.to_vec())),
                        Event::Ping(bytes) => Some(Got::Ping(bytes.to_vec())),
                        Event::Pong(bytes) => Some(Got::Pong(bytes.to_vec())),
                        Event::Close(close) => {
                            got.push(Got::Close(
                                close.map(|close| (close.code.0, close.reason.into_owned())),
                            ));
                            return Ok(got);
                        }
                        Event::Fragment => None,
                    });
                }
            }
        }
        kept.drain(..at);
    }
    Ok(got)
}

/// A stream that reads given input and collects what is written.
struct Stream {
    input: Cursor<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.input.read(buf)? {
            0 if !buf.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(buf);
        Ok(buf.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn theirs(role: TheirRole, input: Vec<u8>) -> WebSocket<Stream> {
    WebSocket::from_raw_socket(
        Stream {
            input: Cursor::new(input),
            output: Vec::new(),
        },
        role,
        None,
    )
}

/// Reads with tungstenite: `Err` if it rejects the input.
fn their_reading(role: TheirRole, input: &[u8]) -> Result<Vec<Got>, tungstenite::Error> {
    let mut websocket = theirs(role, input.to_vec());
    let mut got = Vec::new();
    loop {
        match websocket.read() {
            Ok(Message::Text(text)) => got.push(Got::Text(text.as_str().to_owned())),
            Ok(Message::Binary(bytes)) => got.push(Got::Binary(bytes.to_vec())),
            Ok(Message::Ping(bytes)) => got.push(Got::Ping(bytes.to_vec())),
            Ok(Message::Pong(bytes)) => got.push(Got::Pong(bytes.to_vec())),
            // The way in which tungstenite reports an invalid close frame.
            Ok(Message::Close(Some(close))) if close.reason == "Protocol violation" => {
                return Err(tungstenite::Error::ConnectionClosed);
            }
            Ok(Message::Close(close)) => {
                got.push(Got::Close(close.map(|close| {
                    (close.code.into(), close.reason.as_str().to_owned())
                })));
                return Ok(got);
            }
            Ok(Message::Frame(_)) => unreachable!("only when writing"),
            Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(got);
            }
            Err(error) => return Err(error),
        }
    }
}

fn message() -> impl Strategy<Value = Message> {
    let size = prop_oneof![4 => 0..=300usize, 1 => 65_530..=65_540usize];
    prop_oneof![
        4 => ".{0,200}".prop_map(Message::text),
        1 => size.clone().prop_map(|n| Message::text("ü".repeat(n))),
        2 => (size, any::<u8>()).prop_map(|(n, byte)| Message::binary(vec![byte; n])),
        1 => vec(any::<u8>(), 0..=125).prop_map(|bytes| Message::Ping(bytes.into())),
        1 => vec(any::<u8>(), 0..=125).prop_map(|bytes| Message::Pong(bytes.into())),
    ]
}

fn ours(message: &Message) -> Got {
    match message {
        Message::Text(text) => Got::Text(text.as_str().to_owned()),
        Message::Binary(bytes) => Got::Binary(bytes.to_vec()),
        Message::Ping(bytes) => Got::Ping(bytes.to_vec()),
        Message::Pong(bytes) => Got::Pong(bytes.to_vec()),
        other => unreachable!("{other:?} is not generated"),
    }
}

/// One frame in all its parts, some of which are inconsistent.
#[derive(Clone, Debug)]
struct Wild {
    fin: bool,
    opcode: u8,
    payload: Vec<u8>,
}

fn wild() -> impl Strategy<Value = Wild> {
    let opcode = prop_oneof![3 => Just(0u8), 3 => Just(1), 2 => Just(2), 1 => Just(8), 1 => Just(9), 1 => Just(10), 1 => 0..16u8];
    let payload = prop_oneof![
        2 => ".{0,8}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..8),
        1 => (prop_oneof![Just(1000u16), Just(3000), 990..1020u16], ".{0,4}")
            .prop_map(|(code, reason)| [&code.to_be_bytes()[..], reason.as_bytes()].concat()),
        1 => vec(prop_oneof![Just(0xF0u8), Just(0x9F), Just(0x98), Just(0x80), Just(b'a')], 0..6),
        1 => (120..130usize).prop_map(|n| vec![b'x'; n]),
    ];
    (any::<bool>(), opcode, payload).prop_map(|(fin, opcode, payload)| Wild {
        fin,
        opcode,
        payload,
    })
}

fn wild_bytes(frames: &[Wild]) -> Vec<u8> {
    let mut out = Vec::new();
    for wild in frames {
        let start = out.len();
        frame::encode_masked_into(
            &mut out,
            OpCode::Text,
            &wild.payload,
            [0xA1, 0x5C, 0x33, 0x0F],
        );
        out[start] = (u8::from(wild.fin) << 7) | wild.opcode;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_tungstenite_writes(
        messages in vec(message(), 0..8),
        close in proptest::option::of(".{0,20}"),
        cuts in vec(any::<Index>(), 0..12),
        server in any::<bool>(),
    ) {
        let (role, their_role) = if server { (Role::Server, TheirRole::Client) } else { (Role::Client, TheirRole::Server) };
        let mut writer = theirs(their_role, Vec::new());
        let mut expected: Vec<Got> = messages.iter().map(ours).collect();
        for message in messages {
            writer.send(message).unwrap();
        }
        if let Some(reason) = close {
            expected.push(Got::Close(Some((1000, reason.clone()))));
            writer.close(Some(CloseFrame { code: CloseCode::Normal, reason: reason.into() })).unwrap();
            writer.flush().unwrap();
        }
        let bytes = &writer.get_ref().output;
        prop_assert_eq!(decode(role, DecoderConfig::default(), bytes, &cuts).unwrap(), expected);
    }

    #[test]
    fn writes_what_tungstenite_reads(messages in vec(message(), 0..8), key in any::<[u8; 4]>(), server in any::<bool>()) {
        let mut out = Vec::new();
        let mut expected = Vec::new();
        for message in &messages {
            let got = ours(message);
            let (opcode, payload) = match &got {
                Got::Text(text) => (OpCode::Text, text.as_bytes()),
                Got::Binary(bytes) => (OpCode::Binary, &bytes[..]),
                Got::Ping(bytes) => (OpCode::Ping, &bytes[..]),
                Got::Pong(bytes) => (OpCode::Pong, &bytes[..]),
                Got::Close(_) => unreachable!(),
            };
            if server {
                frame::encode_into(&mut out, opcode, payload);
            } else {
                frame::encode_masked_into(&mut out, opcode, payload, key);
            }
            expected.push(got);
        }
        let role = if server { TheirRole::Client } else { TheirRole::Server };
        prop_assert_eq!(their_reading(role, &out).unwrap(), expected);
    }

    /// Inconsistent frames, bad UTF-8, reserved opcodes, bad close codes: we reject what tungstenite rejects, read what
    /// it reads, and the way in which the bytes are cut changes nothing.
    #[test]
    fn judges_wild_frames_as_tungstenite_does(frames in vec(wild(), 1..6), cuts in vec(any::<Index>(), 0..12)) {
        let bytes = wild_bytes(&frames);
        let whole = decode(Role::Server, DecoderConfig::default(), &bytes, &[]);
        let pieces = decode(Role::Server, DecoderConfig::default(), &bytes, &cuts);
        prop_assert_eq!(&whole, &pieces);
        match (whole, their_reading(TheirRole::Server, &bytes)) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
            (Err(_), Err(_)) => {}
            (ours, theirs) => prop_assert!(false, "we: {ours:?}, they: {theirs:?}"),
        }
    }

    /// Bytes that are not even frames: no panic, and the same result for every way of cutting.
    #[test]
    fn takes_any_bytes(bytes in vec(any::<u8>(), 0..200), cuts in vec(any::<Index>(), 0..12), compressed in any::<bool>()) {
        let params = deflate::Params {
            server_no_context_takeover: false,
            client_no_context_takeover: compressed,
            server_max_window_bits: 15,
            client_max_window_bits: 15,
        };
        for role in [Role::Server, Role::Client] {
            let config = DecoderConfig { permessage_deflate: compressed.then_some(params), ..DecoderConfig::default() };
            prop_assert_eq!(decode(role, config, &bytes, &[]), decode(role, config, &bytes, &cuts));
            let _ = frame::parse_unmasked(&bytes);
        }
    }

    /// Compressed messages survive any fragmentation and any cutting, with and without context takeover.
    #[test]
    fn compressed_messages_survive_fragmentation(
        texts in vec(prop_oneof![".{0,300}", "[ab]{0,2000}"], 1..6),
        splits in vec(any::<Index>(), 0..4),
        cuts in vec(any::<Index>(), 0..12),
        alone in any::<bool>(),
        window_bits in 9..=15u8,
        level in 0..=9u8,
    ) {
        let params = deflate::Params {
            server_no_context_takeover: alone,
            client_no_context_takeover: alone,
            server_max_window_bits: window_bits,
            client_max_window_bits: window_bits,
        };
        let mut compressor = Compressor::new(&params, Role::Client, level).unwrap();
        let mut bytes = Vec::new();
        for text in &texts {
            let mut compressed = Vec::new();
            compressor.compress(text.as_bytes(), &mut compressed);
            let mut ends: Vec<usize> = splits.iter().map(|split| split.index(compressed.len() + 1)).collect();
            ends.sort_unstable();
            ends.push(compressed.len());
            let (mut begin, last) = (0, ends.len() - 1);
            for (i, end) in ends.into_iter().enumerate() {
                let opcode = if i == 0 { OpCode::Text } else { OpCode::Continuation };
                let start = bytes.len();
                frame::encode_masked_rsv_into(&mut bytes, opcode, i == 0, &compressed[begin..end], [9, 8, 7, 6]);
                if i < last {
                    bytes[start] &= 0x7F;
                }
                begin = end;
            }
        }
        let config = DecoderConfig { permessage_deflate: Some(params), ..DecoderConfig::default() };
        let expected: Vec<Got> = texts.into_iter().map(Got::Text).collect();
        prop_assert_eq!(decode(Role::Server, config, &bytes, &cuts).unwrap(), expected);
    }
}
