//! PROXY protocol, versions 1 and 2: the client's address behind a load balancer that does not parse HTTP.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Maximum length of a header of version 1, line end included, in bytes.
const LONGEST_V1: usize = 107;
/// Maximum accepted length of a header of version 2, in bytes. Its length field has 16 bits; this is enough for
/// addresses and the usual extensions.
const LONGEST_V2: usize = 4096;

/// Reads the header at the start of a connection, and nothing behind it. `None`: the load balancer itself is the
/// client.
///
/// # Errors
/// Returns [`ErrorKind::InvalidData`] if there is no valid header.
pub(crate) async fn read_header(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut start = [0; 12];
    stream.read_exact(&mut start).await?;
    if &start == SIGNATURE {
        return read_v2(stream).await;
    }
    if start.starts_with(b"PROXY ") {
        return read_v1(stream, &start).await;
    }
    Err(invalid())
}

fn invalid() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "no PROXY protocol header")
}

async fn read_v1(stream: &mut TcpStream, start: &[u8; 12]) -> io::Result<Option<SocketAddr>> {
    let mut line = start.to_vec();
    // The bytes behind the line are not part of the header: peek first, then read up to the end of the line.
    while line.last() != Some(&b'\n') {
        let mut room = [0; LONGEST_V1];
        let room = &mut room[..LONGEST_V1 - line.len()];
        if room.is_empty() {
            return Err(invalid());
        }
        let seen = stream.peek(room).await?;
        if seen == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let end = room[..seen].iter().position(|&b| b == b'\n');
        let take = end.map_or(seen, |end| end + 1);
        stream.read_exact(&mut room[..take]).await?;
        line.extend_from_slice(&room[..take]);
    }
    parse_v1(&line).ok_or_else(invalid)
}

fn parse_v1(line: &[u8]) -> Option<Option<SocketAddr>> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(None);
    }
    let source: IpAddr = words.next()?.parse().ok()?;
    let _destination: IpAddr = words.next()?.parse().ok()?;
    let port = words.next()?.parse().ok()?;
    let _destination: u16 = words.next()?.parse().ok()?;
    let fits = match family {
        "TCP4" => source.is_ipv4(),
        "TCP6" => source.is_ipv6(),
        _ => false,
    };
    (fits && words.next().is_none()).then_some(Some(SocketAddr::new(source, port)))
}

async fn read_v2(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let [version_command, family, high, low] = head;
    let len = usize::from(u16::from_be_bytes([high, low]));
    if len > LONGEST_V2 {
        return Err(invalid());
    }
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await?;
    parse_v2(version_command, family, &body).ok_or_else(invalid)
}

fn parse_v2(version_command: u8, family: u8, body: &[u8]) -> Option<Option<SocketAddr>> {
    match version_command {
        0x20 => return Some(None), // LOCAL: a health check of the load balancer itself
        0x21 => {}
        _ => return None,
    }
    Some(Some(match family >> 4 {
        1 => {
            let (source, rest) = body.split_first_chunk::<4>()?;
            let (port, _) = rest.get(4..)?.split_first_chunk::<2>()?;
            SocketAddr::new(Ipv4Addr::from(*source).into(), u16::from_be_bytes(*port))
        }
        2 => {
            let (source, rest) = body.split_first_chunk::<16>()?;
            let (port, _) = rest.get(16..)?.split_first_chunk::<2>()?;
            SocketAddr::new(Ipv6Addr::from(*source).into(), u16::from_be_bytes(*port))
        }
        // A Unix socket, or unspecified.
        _ => return Some(None),
    }))
}

/// Reads a complete header of either version.
#[cfg(fuzzing)]
pub fn fuzz_header(bytes: &[u8]) {
    let v2 = |bytes: &[u8]| match bytes.strip_prefix(SIGNATURE)? {
        [version_command, family, _, _, body @ ..] => parse_v2(*version_command, *family, body),
        _ => None,
    };
    let _ = (v2(bytes), parse_v1(bytes));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1() {
        let parse = |line: &str| parse_v1(line.as_bytes());
        let v4 = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";
        assert_eq!(parse(v4), Some(Some("192.0.2.1:56324".parse().unwrap())));
        let v6 = "PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n";
        assert_eq!(parse(v6), Some(Some("[2001:db8::1]:4711".parse().unwrap())));
        assert_eq!(parse("PROXY UNKNOWN\r\n"), Some(None));
        assert_eq!(parse("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), Some(None));
        for bad in [
            "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 4711 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n",
            "PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn version_2() {
        let body = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 1, 0xbb, 9, 9, 9];
        let source = "192.0.2.1:56324".parse().unwrap();
        assert_eq!(parse_v2(0x21, 0x11, &body), Some(Some(source)));
        assert_eq!(parse_v2(0x20, 0, &[]), Some(None));
        assert_eq!(parse_v2(0x21, 0, &[]), Some(None));
        assert_eq!(parse_v2(0x21, 0x11, &body[..9]), None);
        assert_eq!(parse_v2(0x31, 0x11, &body), None);
        let mut body = [0; 36];
        body[0] = 0x20;
        body[33] = 7;
        let source = "[2000::]:7".parse().unwrap();
        assert_eq!(parse_v2(0x21, 0x21, &body), Some(Some(source)));
        assert_eq!(parse_v2(0x21, 0x21, &body[..33]), None);
    }
}
