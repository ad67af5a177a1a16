//! Parser of a server's messages.

use bytes::{Buf, Bytes, BytesMut};

use super::ServerInfo;

/// Longest line, in bytes. The server's first message lists the servers of the cluster.
const MAX_LINE_BYTES: usize = 256 * 1024;
/// Longest payload, in bytes: the highest limit that a server can be configured with.
const MAX_PAYLOAD_BYTES: usize = 64 << 20;
/// Memory that is reserved for a payload before its bytes arrive, in bytes. Beyond it, the buffer grows with what arrives.
const RESERVED_BYTES: usize = 64 * 1024;
/// First line of a block of headers.
const HEADER_VERSION: &[u8] = b"NATS/1.0";

/// Message of a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Incoming {
    pub(crate) subject: String,
    /// Id of the subscription.
    pub(crate) sid: u64,
    /// Block of headers; empty if there are none.
    pub(crate) headers: Bytes,
    pub(crate) payload: Bytes,
}

impl Incoming {
    /// Returns the value of a header. Names are case-sensitive.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let block = std::str::from_utf8(&self.headers).ok()?;
        block.split("\r\n").skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            (found == name).then(|| value.trim())
        })
    }

    /// Returns the status, such as 503 for a request without a responder.
    pub(crate) fn status(&self) -> Option<u16> {
        let line = self.headers.strip_prefix(HEADER_VERSION)?;
        let line = line.split(|byte| *byte == b'\r').next()?;
        let text = std::str::from_utf8(line).ok()?.trim_start();
        text.split(' ').next()?.parse().ok()
    }
}

/// Operation of a server.
#[derive(Debug)]
pub(crate) enum Operation {
    Info(Box<ServerInfo>),
    Message(Incoming),
    Ping,
    Pong,
    Ok,
    Error(String),
}

/// Input that is not of this protocol, or exceeds its limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    #[error("a line has more than {MAX_LINE_BYTES} bytes")]
    LineTooLong,
    #[error("a message has {0} bytes, the limit is {MAX_PAYLOAD_BYTES}")]
    PayloadTooLong(usize),
    #[error("an operation is malformed")]
    Malformed,
}

/// First line of a message whose payload has not arrived.
#[derive(Debug)]
struct Head {
    incoming: Incoming,
    /// Bytes of the headers, and of headers and payload.
    lengths: (usize, usize),
}

/// Parser. It stores the first line of an incomplete message, so that no byte is scanned twice.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    head: Option<Head>,
    /// Number of bytes of an incomplete line that were searched for a line break.
    scanned: usize,
}

impl Parser {
    /// Takes the next operation from the buffer; `None` if it is incomplete.
    pub(crate) fn next(
        &mut self,
        buffer: &mut BytesMut,
    ) -> Result<Option<Operation>, ProtocolError> {
        if self.head.is_none() {
            let Some(line) = self.line(buffer)? else {
                return Ok(None);
            };
            match operation(&line)? {
                Line::Whole(operation) => return Ok(Some(operation)),
                Line::Head(head) => self.head = Some(head),
            }
        }
        Ok(self.message(buffer)?.map(Operation::Message))
    }

    fn line(&mut self, buffer: &mut BytesMut) -> Result<Option<BytesMut>, ProtocolError> {
        let unseen = buffer.get(self.scanned..).unwrap_or_default();
        match unseen.iter().position(|byte| *byte == b'\n') {
            Some(at) if self.scanned + at <= MAX_LINE_BYTES => {
                let line = buffer.split_to(self.scanned + at + 1);
                self.scanned = 0;
                Ok(Some(line))
            }
            None if buffer.len() <= MAX_LINE_BYTES => {
                self.scanned = buffer.len();
                Ok(None)
            }
            _ => Err(ProtocolError::LineTooLong),
        }
    }

    fn message(&mut self, buffer: &mut BytesMut) -> Result<Option<Incoming>, ProtocolError> {
        let Some(Head {
            lengths: (headers, total),
            ..
        }) = self.head
        else {
            return Ok(None);
        };
        if buffer.len() < total + 2 {
            let missing = total + 2 - buffer.len();
            buffer.reserve(missing.min(buffer.len().max(RESERVED_BYTES)));
            return Ok(None);
        }
        // A small message is copied, so that it does not keep the whole buffer in memory.
        let data = buffer.split_to(total);
        let mut data = match total <= 4096 {
            true => Bytes::copy_from_slice(&data),
            false => data.freeze(),
        };
        if !buffer.starts_with(b"\r\n") {
            return Err(ProtocolError::Malformed);
        }
        buffer.advance(2);
        Ok(self.head.take().map(|head| Incoming {
            headers: data.split_to(headers),
            payload: data,
            ..head.incoming
        }))
    }
}

enum Line {
    Whole(Operation),
    Head(Head),
}

fn operation(line: &[u8]) -> Result<Line, ProtocolError> {
    let text = std::str::from_utf8(line).map_err(|_| ProtocolError::Malformed)?;
    let text = text.trim_end_matches(['\r', '\n']);
    let (verb, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    let is = |name: &str| verb.eq_ignore_ascii_case(name);
    let whole = if is("MSG") || is("HMSG") {
        return head(rest, is("HMSG")).map(Line::Head);
    } else if is("PING") {
        Operation::Ping
    } else if is("PONG") {
        Operation::Pong
    } else if is("+OK") {
        Operation::Ok
    } else if is("-ERR") {
        Operation::Error(rest.trim().trim_matches('\'').chars().take(256).collect())
    } else if is("INFO") {
        let info = serde_json::from_str(rest).map_err(|_| ProtocolError::Malformed)?;
        Operation::Info(Box::new(info))
    } else {
        return Err(ProtocolError::Malformed);
    };
    Ok(Line::Whole(whole))
}

/// Reads `subject sid [reply] [header bytes] total bytes`.
fn head(rest: &str, with_headers: bool) -> Result<Head, ProtocolError> {
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(6).collect();
    let lengths = if with_headers { 2 } else { 1 };
    let (names, numbers) = match fields.len().checked_sub(lengths) {
        Some(at @ 2..=3) => fields.split_at(at),
        _ => return Err(ProtocolError::Malformed),
    };
    let number = |text: &str| text.parse::<usize>().map_err(|_| ProtocolError::Malformed);
    let (headers, total) = match numbers {
        [total] => (0, number(total)?),
        [headers, total] => (number(headers)?, number(total)?),
        _ => return Err(ProtocolError::Malformed),
    };
    if total > MAX_PAYLOAD_BYTES {
        return Err(ProtocolError::PayloadTooLong(total));
    }
    let sid = names.get(1).and_then(|sid| sid.parse().ok());
    match (names.first(), sid, headers <= total) {
        (Some(subject), Some(sid), true) => Ok(Head {
            incoming: Incoming {
                subject: (*subject).to_owned(),
                sid,
                ..Incoming::default()
            },
            lengths: (headers, total),
        }),
        _ => Err(ProtocolError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the operations of an input that arrives in pieces of this length.
    fn parse(input: &[u8], piece: usize) -> Result<Vec<String>, ProtocolError> {
        let (mut parser, mut buffer, mut found) = (Parser::default(), BytesMut::new(), Vec::new());
        for piece in input.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(operation) = parser.next(&mut buffer)? {
                found.push(match operation {
                    Operation::Message(m) => {
                        format!("{} {} {:?} {:?}", m.subject, m.sid, m.headers, m.payload)
                    }
                    Operation::Info(info) => format!("info {}", info.max_payload),
                    other => format!("{other:?}"),
                });
            }
        }
        Ok(found)
    }

    #[test]
    fn operations_arrive_in_any_pieces() {
        let input = b"INFO {\"max_payload\":7,\"new\":1}\r\nPING\r\npong\r\n+OK\r\n-ERR 'Stale Connection'\r\n\
            MSG a.b 9 3\r\nx\r\n\r\nMSG a 18446744073709551615 reply 0\r\n\r\n\
            HMSG a 1 reply 16 17\r\nNATS/1.0\r\nA:b\r\nx\r\n";
        let expected = [
            "info 7",
            "Ping",
            "Pong",
            "Ok",
            "Error(\"Stale Connection\")",
            r#"a.b 9 b"" b"x\r\n""#,
            r#"a 18446744073709551615 b"" b"""#,
            r#"a 1 b"NATS/1.0\r\nA:b\r\n" b"x""#,
        ];
        let input = String::from_utf8(input.to_vec())
            .unwrap()
            .replace("16 17", "15 16");
        let expected_last = r#"a 1 b"NATS/1.0\r\nA:b\r\n" b"x""#;
        assert_eq!(expected.last(), Some(&expected_last));
        for piece in 1..input.len() {
            assert_eq!(parse(input.as_bytes(), piece).unwrap(), expected, "{piece}");
        }
    }

    #[test]
    fn headers_are_found() {
        let message = |headers: &'static str| Incoming {
            headers: Bytes::from_static(headers.as_bytes()),
            ..Incoming::default()
        };
        let found = message("NATS/1.0\r\nNats-Sequence: 7\r\nEmpty:\r\n\r\n");
        assert_eq!(found.header("Nats-Sequence"), Some("7"));
        assert_eq!(found.header("Empty"), Some(""));
        assert_eq!((found.header("Sequence"), found.status()), (None, None));
        assert_eq!(message("NATS/1.0 503\r\n\r\n").status(), Some(503));
        assert_eq!(
            message("NATS/1.0 404 No Messages\r\n\r\n").status(),
            Some(404)
        );
        assert_eq!(message("").status(), None);
    }

    #[test]
    fn what_is_not_of_the_protocol_is_rejected() {
        for input in [
            "MSG a 1\r\n",
            "MSG a x 1\r\n",
            "MSG a 1 b c 1\r\n",
            "MSG a 1 -1\r\n",
            "HMSG a 1 5 4\r\n",
            "HTTP/1.1 200\r\n",
            "INFO {\r\n",
            "\r\n",
            "MSG a 1 1\r\nxyz",
        ] {
            assert_eq!(
                parse(input.as_bytes(), 64),
                Err(ProtocolError::Malformed),
                "{input}"
            );
        }
        let long = format!("MSG a 1 {}\r\n", MAX_PAYLOAD_BYTES + 1);
        assert_eq!(
            parse(long.as_bytes(), 64),
            Err(ProtocolError::PayloadTooLong(MAX_PAYLOAD_BYTES + 1))
        );
        let long = vec![b'x'; MAX_LINE_BYTES + 2];
        assert_eq!(parse(&long, 4096), Err(ProtocolError::LineTooLong));
    }

    #[test]
    fn a_length_that_is_only_announced_reserves_little() {
        let head = format!("MSG a 1 {MAX_PAYLOAD_BYTES}\r\n");
        let (mut parser, mut buffer) = (Parser::default(), BytesMut::from(head.as_bytes()));
        assert!(parser.next(&mut buffer).unwrap().is_none());
        assert!(buffer.capacity() <= 2 * RESERVED_BYTES);
        buffer.extend_from_slice(&[0; 1 << 20]);
        assert!(parser.next(&mut buffer).unwrap().is_none());
        assert!(buffer.capacity() <= 4 << 20);
    }

    proptest! {
        #[test]
        fn no_input_causes_a_panic(input in any::<Vec<u8>>(), piece in 1..64_usize) {
            let _ = parse(&input, piece);
            let headers = Incoming { headers: input.into(), ..Incoming::default() };
            let _ = (headers.header("a"), headers.status());
        }
    }
}
