use http_body::Body;

use super::*;

fn parse<'r, 'a>(input: &'a [u8], room: &'r mut Room<'a>) -> Parsed<'r, 'a> {
    super::parse(input, 8192, room)
}

/// A parsed request and its properties.
struct Taken {
    request: Request<ServeBody>,
    feed: Option<BodyFeed>,
    consumed: usize,
    keep: Keep,
    upgrade: bool,
    expects: bool,
}

fn taken(input: &str) -> Taken {
    let mut room = Room::new();
    match parse(input.as_bytes(), &mut room) {
        Parsed::Request(incoming) => Taken {
            request: incoming.head.request(incoming.body).unwrap(),
            feed: incoming.feed,
            consumed: incoming.consumed,
            keep: incoming.keep,
            upgrade: incoming.upgrade,
            expects: incoming.expects,
        },
        _ => panic!("it is a request: {input:?}"),
    }
}

#[test]
fn a_request_in_one_piece_is_taken_and_no_more() {
    let input =
        "POST /a?b HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nContent-Length: 3\r\nX-A: 2\r\n\r\nabcGET /";
    let Taken {
        request,
        feed,
        consumed,
        keep,
        upgrade,
        expects,
    } = taken(input);
    assert_eq!(consumed, input.len() - "GET /".len());
    assert!(feed.is_none());
    assert_eq!((keep, upgrade, expects), (Keep::Open, false, false));
    assert_eq!(
        (request.method(), request.uri().to_string().as_str()),
        (&Method::POST, "/a?b")
    );
    let values: Vec<_> = request.headers().get_all("x-a").iter().collect();
    assert_eq!(values, ["1", "2"]);
}

#[test]
fn the_rest_of_a_body_may_be_yet_to_come() {
    for length in ["4", "100", "4294967296"] {
        let input = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\nabc");
        let incoming = taken(&input);
        let length: usize = length.parse().unwrap();
        let hint = incoming.request.body().size_hint();
        assert_eq!(hint.exact(), Some(length as u64));
        assert_eq!(incoming.feed.unwrap().missing(), Some(length - 3));
        assert_eq!(incoming.consumed, input.len());
    }
    let start = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n3\r\nab";
    let incoming = taken(start);
    assert_eq!(incoming.request.body().size_hint().exact(), None);
    assert!(incoming.expects && incoming.feed.is_some());
    assert_eq!(incoming.consumed, start.len());
    let whole = format!("{start}c\r\n0\r\n\r\nGET /");
    let incoming = taken(&whole);
    assert_eq!(incoming.request.body().size_hint().exact(), Some(3));
    assert!(!incoming.expects && incoming.feed.is_none());
    assert_eq!(incoming.consumed, whole.len() - "GET /".len());
}

#[test]
fn what_becomes_of_the_connection() {
    for (head, keep, upgrade) in [
        (
            "1.1\r\nHost: x\r\nConnection: keep-alive, Close\r\nUpgrade: websocket\r\n",
            Keep::Close,
            false,
        ),
        (
            "1.1\r\nHost: x\r\nConnection: x, upgrade\r\nUpgrade: h2c, WebSocket\r\n",
            Keep::Open,
            true,
        ),
        (
            "1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n",
            Keep::Open,
            false,
        ),
        ("1.0\r\n", Keep::Close, false),
        ("1.0\r\nConnection: keep-alive\r\n", Keep::Told, false),
    ] {
        let incoming = taken(&format!("GET / HTTP/{head}\r\n"));
        assert_eq!(
            (incoming.keep, incoming.upgrade),
            (keep, upgrade),
            "{head:?}"
        );
    }
}

#[test]
fn every_beginning_of_a_head_is_incomplete() {
    for (head, http2) in [
        ("GET /?a HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n", false),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", true),
    ] {
        for end in 0..head.len() {
            let start = &head.as_bytes()[..end];
            let parsed = matches!(parse(start, &mut Room::new()), Parsed::Incomplete);
            assert!(parsed, "{end}");
        }
        let mut room = Room::new();
        let parsed = parse(head.as_bytes(), &mut room);
        assert_eq!(matches!(parsed, Parsed::Http2), http2);
        assert_eq!(matches!(parsed, Parsed::Request(_)), !http2);
    }
}

#[test]
fn a_target_that_is_not_escaped_is_understood() {
    let incoming = taken("GET /\"<>{|}\\^`?a=\"<b>\"&c={|}\\^` HTTP/1.1\r\nHost: x\r\n\r\n");
    let uri = incoming.request.uri();
    assert_eq!(uri.path(), "/%22%3C%3E%7B%7C%7D%5C%5E%60");
    assert!(
        uri.query().unwrap().starts_with("a=%22%3Cb%3E%22&c="),
        "{uri}"
    );
}

#[test]
fn headers_have_room_for_as_many_as_fit() {
    let input = format!(
        "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
        "a:b\r\n".repeat(1500)
    );
    let headers = taken(&input).request.into_parts().0.headers;
    assert_eq!(headers.get_all("a").iter().count(), 1500);
    let long = "x".repeat(8192);
    for input in [
        format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}"),
        format!(
            "GET / HTTP/1.1\r\nHost: x\r\n{}\r\n",
            "a:b\r\n".repeat(4000)
        ),
    ] {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        let mut room = Room::new();
        let parsed = parse(input.as_bytes(), &mut room);
        assert!(matches!(parsed, Parsed::Bad(s) if s == status));
    }
}
