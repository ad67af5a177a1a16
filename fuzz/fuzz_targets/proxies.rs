//! Address of the client behind a proxy: the PROXY protocol (binary input), `Forwarded` and `X-Forwarded-For` (text, a
//! header value).
#![no_main]

use std::net::SocketAddr;

use fanfare_engine::fuzzing;
use fanfare_engine::proxy::{ForwardedHeader, Networks, TrustedProxies};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    fuzzing::proxy_header(bytes);
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let peer: SocketAddr = "10.0.0.1:1".parse().unwrap();
    let stranger: SocketAddr = "192.0.2.9:1".parse().unwrap();
    for (header, name) in
        [(ForwardedHeader::XForwardedFor, "x-forwarded-for"), (ForwardedHeader::Forwarded, "forwarded")]
    {
        let proxies = TrustedProxies::new(Networks::private()).header(header);
        let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.clone())]);
        assert_eq!(proxies.client(stranger, &headers), (stranger, None), "a stranger is not believed");
        let _ = proxies.client(peer, &headers);
        // Entries that a client writes in front of those of our proxy are never reached.
        let mut chain = bytes.to_vec();
        chain.extend_from_slice(if name == "forwarded" { b",for=192.0.2.7" } else { b",192.0.2.7" });
        let chain = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_bytes(&chain).unwrap())]);
        let (client, _) = proxies.client(peer, &chain);
        if value.to_str().is_ok() {
            assert_eq!(client.ip().to_string(), "192.0.2.7");
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(networks) = text.parse::<Networks>()
    {
        assert_eq!(networks.to_string().parse::<Networks>().unwrap(), networks);
    }
});
