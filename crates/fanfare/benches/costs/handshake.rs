//! Inputs of HTTP requests: heads, queries, bodies, many on one connection.

use crate::target::{Attack, namespace, server};
use crate::{Input, input};

/// Part of the response to a request with an unknown transport.
const REFUSED: &[u8] = b"Transport unknown";
/// A request that is rejected.
const LAST: &str = "GET /socket.io/?EIO=4&transport=none HTTP/1.1\r\nHost: x\r\n\r\n";

pub(crate) const INPUTS: &[Input] = &[
    input("pipelined_requests", 250, |n| {
        requests(&"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(n))
    }),
    input("headers", 200, |n| request("", &"a: b\r\n".repeat(n))),
    input("long_header", 2000, |n| {
        request("", &format!("a: {}\r\n", "b".repeat(n)))
    }),
    input("cookies", 200, |n| {
        request("", &"cookie: a=b\r\n".repeat(n))
    }),
    input("forwarded_for", 100, |n| {
        request("", &"x-forwarded-for: 10.0.0.1\r\n".repeat(n))
    }),
    input("query_parameters", 500, |n| request(&"&a=b".repeat(n), "")),
    input("query_escapes", 500, |n| {
        request(&format!("&a={}", "%20".repeat(n)), "")
    }),
];

fn requests(text: &str) -> Attack {
    Attack::bytes(
        server(namespace()),
        format!("{text}{LAST}").into_bytes(),
        REFUSED,
    )
}

/// Returns a handshake with additional query and headers.
fn request(query: &str, headers: &str) -> Attack {
    requests(&format!(
        "GET /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
    ))
}
