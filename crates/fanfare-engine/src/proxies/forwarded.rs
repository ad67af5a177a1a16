//! `Forwarded` (RFC 7239) and `X-Forwarded-For`.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header::FORWARDED};

use super::Networks;
use crate::handshake::Peer;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Header in which trusted proxies name the client.
///
/// Only one is read: a proxy writes the one that it knows and passes the other on as the client sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`: nearly all proxies. The default.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Proxies that are trusted to report the address of the client.
///
/// The chain of addresses is followed from the nearest one back while the addresses belong to trusted proxies; the
/// first other address is the client's. What the client itself put into the header is never reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Networks,
    header: ForwardedHeader,
    unix_sockets: bool,
}

impl TrustedProxies {
    /// Trusts `X-Forwarded-For` of requests from these networks.
    pub fn new(networks: Networks) -> TrustedProxies {
        TrustedProxies {
            networks,
            header: ForwardedHeader::default(),
            unix_sockets: false,
        }
    }

    /// Sets whether requests over a Unix socket, where the peer has no address, are trusted as well. Default: no.
    #[must_use]
    pub fn unix_sockets(mut self, trust: bool) -> TrustedProxies {
        self.unix_sockets = trust;
        self
    }

    /// Selects the header.
    #[must_use]
    pub fn header(mut self, header: ForwardedHeader) -> TrustedProxies {
        self.header = header;
        self
    }

    /// Returns the address of the client, and whether it uses TLS, if the proxy says so. `peer` sent the request to
    /// this server. The port is 0 where the proxy does not report it.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> (SocketAddr, Option<bool>) {
        let (client, secure) = self.client_of(Peer::Address(peer), headers);
        (client.and_then(Peer::address).unwrap_or(peer), secure)
    }

    /// As [`client`](Self::client), for any peer. `None`: the client is the peer itself.
    pub fn client_of(&self, peer: Peer, headers: &HeaderMap) -> (Option<Peer>, Option<bool>) {
        let trusted = match peer {
            Peer::Address(peer) => self.networks.contains(peer.ip()),
            Peer::Unix => self.unix_sockets,
        };
        if !trusted {
            return (None, None);
        }
        let (client, secure) = match self.header {
            ForwardedHeader::XForwardedFor => {
                let hops = values(headers, &X_FORWARDED_FOR).map(|hop| parse(hop).map(|a| (a, ())));
                let client = self.follow(hops).map(|(client, ())| client);
                let proto = values(headers, &X_FORWARDED_PROTO).last();
                (client, proto.map(is_https))
            }
            ForwardedHeader::Forwarded => {
                let hops = values(headers, &FORWARDED).map(|element| {
                    let address = parse(parameter(element, "for")?)?;
                    Some((address, parameter(element, "proto").map(is_https)))
                });
                match self.follow(hops) {
                    Some((client, secure)) => (Some(client), secure),
                    None => (None, None),
                }
            }
        };
        (client.map(Peer::Address), secure)
    }

    /// Returns the first of the hops, nearest first, that is not a trusted proxy; or the last one that can be parsed.
    fn follow<T>(
        &self,
        hops: impl Iterator<Item = Option<(SocketAddr, T)>>,
    ) -> Option<(SocketAddr, T)> {
        let mut last = None;
        for hop in hops {
            let Some((address, more)) = hop else { break };
            let proxy = self.networks.contains(address.ip());
            last = Some((address, more));
            if !proxy {
                break;
            }
        }
        last
    }
}

/// Returns the elements of a list that may be spread over several headers, last first.
fn values<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = &'a str> + use<'a> {
    let lines: Vec<&str> = headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap_or(""))
        .collect();
    lines
        .into_iter()
        .rev()
        .flat_map(|line| line.rsplit(','))
        .map(str::trim)
}

fn is_https(proto: &str) -> bool {
    proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss")
}

fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (n, value) = pair.split_once('=')?;
        n.trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().trim_matches('"'))
    })
}

/// Parses `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn parse(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address);
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(text).parse().ok()?;
    Some(SocketAddr::new(address, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn client(trusted: &TrustedProxies, peer: &str, lines: &[(&'static str, &str)]) -> String {
        let peer = SocketAddr::new(peer.parse().unwrap(), 9);
        let (address, secure) = trusted.client(peer, &headers(lines));
        match secure {
            Some(secure) => format!("{address} {secure}"),
            None => address.to_string(),
        }
    }

    #[test]
    fn only_own_proxies_are_believed() {
        let trusted = TrustedProxies::new("10.0.0.0/8".parse().unwrap());
        let xff = |value| [("x-forwarded-for", value)];
        for (peer, value, expected) in [
            // Not from a proxy.
            ("192.0.2.1", "1.2.3.4", "192.0.2.1:9"),
            ("10.0.0.1", "1.2.3.4", "1.2.3.4:0"),
            // The client forged the first one.
            ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4:0"),
            ("10.0.0.1", "6.6.6.6, 1.2.3.4:77, 10.0.0.2", "1.2.3.4:77"),
            ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3:0"),
            ("10.0.0.1", "1.2.3.4, unknown", "10.0.0.1:9"),
            ("10.0.0.1", "unknown, 10.0.0.2", "10.0.0.2:0"),
            ("10.0.0.1", "2001:db8::1", "[2001:db8::1]:0"),
            ("10.0.0.1", "[2001:db8::1]:80", "[2001:db8::1]:80"),
            ("10.0.0.1", "", "10.0.0.1:9"),
            ("::ffff:10.0.0.1", "1.2.3.4", "1.2.3.4:0"),
        ] {
            assert_eq!(client(&trusted, peer, &xff(value)), expected, "{value}");
        }
        // The other header may be the client's own.
        let both = [("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "1.2.3.4")];
        assert_eq!(client(&trusted, "10.0.0.1", &both), "1.2.3.4:0");
        let several = [
            ("x-forwarded-for", "6.6.6.6, 1.2.3.4"),
            ("x-forwarded-for", "10.1.1.1"),
        ];
        assert_eq!(client(&trusted, "10.0.0.1", &several), "1.2.3.4:0");
        let proto = [
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-proto", "https"),
        ];
        assert_eq!(client(&trusted, "10.0.0.1", &proto), "1.2.3.4:0 true");
    }

    #[test]
    fn a_unix_socket_is_believed_if_it_is_said_to_be() {
        let proxies = TrustedProxies::new("10.0.0.0/8".parse().unwrap());
        let headers = headers(&[
            ("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.2"),
            ("x-forwarded-proto", "https"),
        ]);
        assert_eq!(proxies.client_of(Peer::Unix, &headers), (None, None));
        let proxies = proxies.unix_sockets(true);
        let client = Peer::Address("1.2.3.4:0".parse().unwrap());
        assert_eq!(
            proxies.client_of(Peer::Unix, &headers),
            (Some(client), Some(true))
        );
        assert_eq!(
            proxies.client_of(Peer::Unix, &HeaderMap::new()),
            (None, None)
        );
    }

    #[test]
    fn the_forwarded_header() {
        let trusted =
            TrustedProxies::new("10.0.0.0/8".parse().unwrap()).header(ForwardedHeader::Forwarded);
        for (value, expected) in [
            (
                "for=192.0.2.60;proto=http;by=203.0.113.43",
                "192.0.2.60:0 false",
            ),
            (
                "For=\"[2001:db8:cafe::17]:4711\"; Proto=https",
                "[2001:db8:cafe::17]:4711 true",
            ),
            (
                "for=6.6.6.6;proto=https, for=1.2.3.4, for=10.0.0.7;proto=http",
                "1.2.3.4:0",
            ),
            ("for=_hidden", "10.0.0.1:9"),
            ("by=1.2.3.4", "10.0.0.1:9"),
        ] {
            assert_eq!(
                client(&trusted, "10.0.0.1", &[("forwarded", value)]),
                expected,
                "{value}"
            );
        }
    }
}
