use super::*;
use crate::frame;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

fn server() -> Decoder {
    Decoder::new(Role::Server, DecoderConfig::default())
}

/// Encodes a masked frame with any first byte.
fn raw(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode_masked_into(&mut out, OpCode::Binary, payload, KEY);
    out[0] = first;
    out
}

/// Decodes `bytes` until the decoder needs more or fails, and returns the events as text.
fn run(decoder: &mut Decoder, bytes: &[u8]) -> (Vec<String>, Option<ProtocolError>) {
    let mut input = bytes.to_vec();
    let (mut at, mut seen) = (0, Vec::new());
    loop {
        match decoder.next(&mut input[at..]) {
            Ok(Decoded::Event { consumed, event }) => {
                seen.push(format!("{event:?}"));
                at += consumed;
            }
            Ok(Decoded::Incomplete { need }) => {
                assert!(
                    need > input.len() - at,
                    "needs {need}, has {}",
                    input.len() - at
                );
                return (seen, None);
            }
            Err(error) => return (seen, Some(error)),
        }
    }
}

fn error(bytes: &[u8]) -> ProtocolError {
    run(&mut server(), bytes).1.expect("an error")
}

#[test]
fn is_small() {
    assert!(size_of::<Decoder>() <= 64, "{}", size_of::<Decoder>());
    assert!(size_of::<ProtocolError>() <= 24);
}

#[test]
fn decodes_the_examples_of_rfc_6455() {
    let mut client = Decoder::new(Role::Client, DecoderConfig::default());
    assert_eq!(run(&mut client, b"\x81\x05Hello").0, [r#"Text("Hello")"#]);
    assert_eq!(
        run(&mut client, b"\x01\x03Hel\x80\x02lo").0,
        ["Fragment", r#"Text("Hello")"#]
    );
    assert_eq!(
        run(
            &mut server(),
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        )
        .0,
        [r#"Text("Hello")"#]
    );
    assert_eq!(
        run(
            &mut server(),
            b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        )
        .0,
        ["Pong([72, 101, 108, 108, 111])"]
    );
}

#[test]
fn says_how_much_it_needs_and_leaves_the_input_alone() {
    for len in [0usize, 1, 125, 126, 65535, 65536] {
        let whole = raw(0x81, &vec![b'a'; len]);
        for cut in [0, 1, 2, 3, 5, 6, 9, 13, whole.len() - 1] {
            if cut >= whole.len() {
                continue;
            }
            let mut input = whole[..cut].to_vec();
            let mut decoder = server();
            let Ok(Decoded::Incomplete { need }) = decoder.next(&mut input) else {
                panic!("{len}, cut at {cut}")
            };
            assert!(
                need > cut && need <= whole.len(),
                "{len}, cut at {cut}: needs {need}"
            );
            assert_eq!(input, whole[..cut]);
        }
    }
}

#[test]
fn takes_control_frames_between_fragments() {
    let mut bytes = raw(0x01, b"Hel");
    bytes.extend(raw(0x89, b"?"));
    bytes.extend(raw(0x00, b""));
    bytes.extend(raw(0x80, b"lo"));
    bytes.extend(raw(0x81, b"next"));
    let mut decoder = server();
    let (seen, error) = run(&mut decoder, &bytes);
    assert_eq!(
        seen,
        [
            "Fragment",
            "Ping([63])",
            "Fragment",
            r#"Text("Hello")"#,
            r#"Text("next")"#
        ]
    );
    assert_eq!(error, None);
    assert!(
        decoder.is_idle(),
        "nothing is kept once it was called until Incomplete"
    );
}

#[test]
fn rejects_what_breaks_the_protocol() {
    assert_eq!(error(&raw(0x91, b"")), ProtocolError::ReservedBits(0b001));
    assert_eq!(error(&raw(0xC1, b"")), ProtocolError::ReservedBits(0b100));
    assert_eq!(error(&raw(0xC9, b"")), ProtocolError::ReservedBits(0b100));
    assert_eq!(error(&raw(0x83, b"")), ProtocolError::UnknownOpCode(3));
    assert_eq!(error(&raw(0x8B, b"")), ProtocolError::UnknownOpCode(11));
    assert_eq!(error(b"\x81\x05Hello"), ProtocolError::Unmasked);
    assert_eq!(error(&raw(0x09, b"")), ProtocolError::FragmentedControl);
    assert_eq!(error(&raw(0x89, &[0; 126])), ProtocolError::ControlTooLong);
    assert_eq!(
        error(&raw(0x80, b"")),
        ProtocolError::UnexpectedContinuation
    );
    assert_eq!(
        error(&[raw(0x01, b"a"), raw(0x81, b"b")].concat()),
        ProtocolError::ExpectedContinuation
    );
    assert_eq!(
        error(&raw(0x88, b"\x03")),
        ProtocolError::InvalidClosePayload
    );
    assert_eq!(
        error(&raw(0x88, b"\x03\xed")),
        ProtocolError::InvalidCloseCode(CloseCode(1005))
    );
    assert_eq!(
        error(&raw(0x88, b"\x03\xe8\xff")),
        ProtocolError::InvalidUtf8
    );
    assert_eq!(
        error(b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
        ProtocolError::InvalidLength(u64::MAX)
    );
    let mut client = Decoder::new(Role::Client, DecoderConfig::default());
    assert_eq!(
        run(&mut client, &raw(0x81, b"a")).1,
        Some(ProtocolError::Masked)
    );
}

#[test]
fn fails_as_soon_as_the_header_shows_it() {
    assert_eq!(error(&[0xF1, 0]), ProtocolError::ReservedBits(0b111));
    assert_eq!(error(&[0x81, 0x05]), ProtocolError::Unmasked);
    let head = [0x82, 0xFF, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4];
    assert_eq!(
        error(&head),
        ProtocolError::FrameTooBig {
            len: 1 << 32,
            limit: 16 << 20
        }
    );
}

#[test]
fn accepts_a_length_in_a_longer_form_than_needed() {
    let mut client = Decoder::new(Role::Client, DecoderConfig::default());
    assert_eq!(run(&mut client, b"\x81\x7e\x00\x01a").0, [r#"Text("a")"#]);
}

#[test]
fn text_is_strict_utf8_and_fails_with_the_fragment_that_breaks_it() {
    for bad in [
        &b"\xff"[..],
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"abc\xce",
        b"\xf0\x9f\x98",
    ] {
        assert_eq!(
            error(&raw(0x81, bad)),
            ProtocolError::InvalidUtf8,
            "{bad:?}"
        );
        let long = [&[b'a'; 200][..], bad].concat();
        assert_eq!(
            error(&raw(0x81, &long)),
            ProtocolError::InvalidUtf8,
            "{bad:?}"
        );
    }
    // A character cut in two is fine, and "\xf4\x90" can never become one.
    let (seen, none) = run(
        &mut server(),
        &[raw(0x01, b"\xf0\x9f"), raw(0x80, b"\x98\x80")].concat(),
    );
    assert_eq!((seen[1].as_str(), none), ("Text(\"😀\")", None));
    assert_eq!(
        error(&raw(0x01, b"ok \xf4\x90")),
        ProtocolError::InvalidUtf8
    );
    assert_eq!(
        error(&[raw(0x01, b"\xf0\x9f"), raw(0x00, b"a")].concat()),
        ProtocolError::InvalidUtf8
    );
    assert_eq!(
        error(&[raw(0x01, b"\xf0\x9f"), raw(0x80, b"")].concat()),
        ProtocolError::InvalidUtf8
    );
}

#[test]
fn limits_are_inclusive() {
    let config = DecoderConfig {
        max_frame: 10,
        max_message: 20,
        max_fragments: 3,
        permessage_deflate: None,
    };
    let run = |frames: &[Vec<u8>]| run(&mut Decoder::new(Role::Server, config), &frames.concat()).1;
    assert_eq!(run(&[raw(0x82, &[0; 10])]), None);
    assert_eq!(
        run(&[raw(0x81, &[0; 11])]),
        Some(ProtocolError::FrameTooBig { len: 11, limit: 10 })
    );
    assert_eq!(run(&[raw(0x02, &[0; 10]), raw(0x80, &[0; 10])]), None);
    assert_eq!(
        run(&[raw(0x02, &[0; 10]), raw(0x00, &[0; 10]), raw(0x80, &[0; 1])]),
        Some(ProtocolError::MessageTooBig { limit: 20 })
    );
    assert_eq!(run(&[raw(0x02, b""), raw(0x00, b""), raw(0x80, b"")]), None);
    assert_eq!(
        run(&[
            raw(0x02, b""),
            raw(0x00, b""),
            raw(0x00, b""),
            raw(0x80, b"")
        ]),
        Some(ProtocolError::TooManyFragments { limit: 3 })
    );
    let tiny = DecoderConfig {
        max_frame: 100,
        max_message: 4,
        ..config
    };
    let mut decoder = Decoder::new(Role::Server, tiny);
    assert_eq!(
        super::tests::run(&mut decoder, &raw(0x81, b"12345")).1,
        Some(ProtocolError::MessageTooBig { limit: 4 })
    );
}

#[test]
fn a_flood_of_empty_fragments_takes_no_memory_and_ends() {
    let mut decoder = Decoder::new(
        Role::Server,
        DecoderConfig {
            max_fragments: 1000,
            ..DecoderConfig::default()
        },
    );
    assert_eq!(run(&mut decoder, &raw(0x02, b"")).1, None);
    let mut taken = 1;
    let error = loop {
        match run(&mut decoder, &raw(0x00, b"")).1 {
            None => taken += 1,
            Some(error) => break error,
        }
    };
    assert_eq!(
        (taken, error),
        (1000, ProtocolError::TooManyFragments { limit: 1000 })
    );
    assert_eq!(decoder.message.unwrap().buf.capacity(), 0);
}

#[test]
fn memory_for_fragments_never_exceeds_the_limit() {
    let config = DecoderConfig {
        max_message: 1500,
        ..DecoderConfig::default()
    };
    let mut decoder = Decoder::new(Role::Server, config);
    run(&mut decoder, &raw(0x02, &[0; 1000]));
    run(&mut decoder, &raw(0x00, &[0; 100]));
    assert!(decoder.message.unwrap().buf.capacity() <= 1500);
}

#[test]
fn reads_close_frames() {
    assert_eq!(run(&mut server(), &raw(0x88, b"")).0, ["Close(None)"]);
    let (seen, _) = run(&mut server(), &raw(0x88, b"\x0b\xb8bye"));
    assert_eq!(
        seen,
        [r#"Close(Some(CloseFrame { code: CloseCode(3000), reason: "bye" }))"#]
    );
}

#[test]
fn every_error_has_a_label_and_a_close_code_that_may_be_sent() {
    for error in [
        ProtocolError::Unmasked,
        ProtocolError::InvalidUtf8,
        ProtocolError::FrameTooBig { len: 2, limit: 1 },
    ] {
        assert!(error.close_code().is_sendable());
        assert!(!error.label().contains(' '));
    }
    assert_eq!(
        ProtocolError::InvalidUtf8.close_code(),
        CloseCode::INVALID_PAYLOAD
    );
    assert_eq!(
        ProtocolError::MessageTooBig { limit: 1 }.close_code(),
        CloseCode::TOO_BIG
    );
}

#[test]
fn small_fragments_are_taken_in_together() {
    for role in [Role::Server, Role::Client] {
        let masks = role == Role::Server;
        let fragment = |out: &mut Vec<u8>, first: u8, payload: &[u8]| {
            out.extend_from_slice(&[first, payload.len() as u8 | if masks { 0x80 } else { 0 }]);
            let key = if masks { &[1, 2, 3, 4][..] } else { &[][..] };
            out.extend_from_slice(key);
            let masked = payload.iter().enumerate();
            out.extend(masked.map(|(n, byte)| byte ^ key.get(n % 4).copied().unwrap_or(0)));
        };
        let text = "é and so on, in pieces".repeat(100);
        let mut input = Vec::new();
        for (n, byte) in text.bytes().enumerate() {
            fragment(&mut input, if n == 0 { 1 } else { 0 }, &[byte]);
        }
        fragment(&mut input, 0x80, b"!");
        let mut decoder = Decoder::new(role, DecoderConfig::default());
        let (mut at, mut events, mut got) = (0, 0, None);
        while at < input.len() {
            let Ok(Decoded::Event { consumed, event }) = decoder.next(&mut input[at..]) else {
                panic!("not whole frames at {at}");
            };
            if let Event::Text(text) = event {
                got = Some(text.to_owned());
            }
            at += consumed;
            events += 1;
        }
        assert_eq!(got.as_deref(), Some(&*format!("{text}!")));
        assert_eq!(events, 3, "the first, all between, and the last");
    }
}

#[test]
fn limits_hold_for_small_fragments() {
    let next = |config: DecoderConfig, frames: &[&[u8]]| {
        let mut decoder = Decoder::new(Role::Client, config);
        let mut input = frames.concat();
        let mut at = 0;
        loop {
            match decoder.next(&mut input[at..]) {
                Ok(Decoded::Event { consumed, .. }) => at += consumed,
                Ok(Decoded::Incomplete { .. }) => return Ok(at),
                Err(error) => return Err(error),
            }
        }
    };
    let config = DecoderConfig::default();
    let frames: [&[u8]; 4] = [b"\x01\x01a", b"\x00\x01b", b"\x00\x02cd", b"\x00\x01"];
    assert_eq!(next(config, &frames), Ok(10));
    let limit = 3;
    let short = DecoderConfig {
        max_message: limit,
        ..config
    };
    assert_eq!(
        next(short, &frames),
        Err(ProtocolError::MessageTooBig { limit })
    );
    let limit = 1;
    let small = DecoderConfig {
        max_frame: limit,
        ..config
    };
    assert_eq!(
        next(small, &frames),
        Err(ProtocolError::FrameTooBig { len: 2, limit })
    );
    let limit = 2;
    let few = DecoderConfig {
        max_fragments: limit,
        ..config
    };
    assert_eq!(
        next(few, &frames),
        Err(ProtocolError::TooManyFragments { limit })
    );
    let broken: [&[u8]; 3] = [b"\x01\x01a", b"\x00\x01\xC3", b"\x00\x01a"];
    assert_eq!(next(config, &broken), Err(ProtocolError::InvalidUtf8));
}
